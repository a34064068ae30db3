"""The torch frontend: `nn.Module` in, `Graph` out."""
