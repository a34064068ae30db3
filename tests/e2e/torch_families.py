"""Small random models of many architectures, each with example inputs: what the torch end-to-end tests run on.

A family is a function that returns (module in eval mode, keyword inputs). Weights are seeded by the family's name.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

__all__ = ["CORE", "FAMILIES", "QUICK", "REFUSED", "build"]

Built = tuple[Any, dict[str, Any]]
BATCH, LENGTH, VOCABULARY, SIDE = 2, 12, 97, 64

_TEXT = dict(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4)
_ENCODER = _TEXT | dict(intermediate_size=96, max_position_embeddings=64, type_vocab_size=2)
_DECODER = _TEXT | dict(intermediate_size=96, max_position_embeddings=64, num_key_value_heads=2, pad_token_id=0,
                        bos_token_id=1, eos_token_id=2)  # fmt: skip
_SEQ2SEQ = dict(vocab_size=VOCABULARY, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
                decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=64)  # fmt: skip
_VISION = dict(image_size=SIDE, patch_size=16, hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
               intermediate_size=96)  # fmt: skip
_T5 = dict(vocab_size=VOCABULARY, d_model=64, d_kv=16, d_ff=96, num_layers=2, num_heads=4)
_MOE = _DECODER | dict(num_experts=4, num_experts_per_tok=2, moe_intermediate_size=48, decoder_sparse_step=1)
_SPEECH = dict(vocab_size=32, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96,
               conv_dim=(32, 32, 32), conv_stride=(5, 2, 2), conv_kernel=(10, 3, 3), num_conv_pos_embeddings=16,
               num_conv_pos_embedding_groups=4, num_feat_extract_layers=3)  # fmt: skip


_BACKBONE = transformers.ResNetConfig(
    embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic", out_features=["stage2"]
)


def _ids(length: int = LENGTH) -> Any:
    return torch.randint(3, VOCABULARY - 7, (BATCH, length))


def _masked() -> dict[str, Any]:
    ids = _ids()
    mask = torch.ones_like(ids)
    mask[1, -3:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def _text() -> dict[str, Any]:
    return {"input_ids": _ids()}


def _pair() -> dict[str, Any]:
    return {"input_ids": _ids(), "decoder_input_ids": _ids(7)}


def _pixels(side: int = SIDE) -> dict[str, Any]:
    return {"pixel_values": torch.randn(BATCH, 3, side, side)}


def _wave() -> dict[str, Any]:
    return {"input_values": torch.randn(BATCH, 1600)}


_TABLE: dict[str, tuple[str, str, dict[str, Any], Callable[[], dict[str, Any]]]] = {
    # vision
    "resnet18": ("ResNetForImageClassification", "ResNetConfig", dict(embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[2, 2, 2, 2], layer_type="basic", num_labels=7), _pixels),
    "resnet50": ("ResNetForImageClassification", "ResNetConfig", dict(embedding_size=16, hidden_sizes=[32, 64, 96, 128], depths=[2, 2, 3, 2], num_labels=7), _pixels),
    "mobilenet_v1": ("MobileNetV1ForImageClassification", "MobileNetV1Config", dict(image_size=SIDE, depth_multiplier=0.25, num_labels=7), _pixels),
    "mobilenet_v2": ("MobileNetV2ForImageClassification", "MobileNetV2Config", dict(image_size=SIDE, depth_multiplier=0.35, num_labels=7), _pixels),
    "efficientnet": ("EfficientNetForImageClassification", "EfficientNetConfig", dict(image_size=SIDE, width_coefficient=0.5, depth_coefficient=0.5, hidden_dim=640, num_labels=7), _pixels),
    "vit": ("ViTForImageClassification", "ViTConfig", _VISION, _pixels),
    "deit": ("DeiTForImageClassification", "DeiTConfig", _VISION, _pixels),
    "beit": ("BeitForImageClassification", "BeitConfig", _VISION | dict(use_relative_position_bias=True), _pixels),
    "data2vec_vision": ("Data2VecVisionForImageClassification", "Data2VecVisionConfig", _VISION | dict(use_shared_relative_position_bias=True), _pixels),
    "dinov2": ("Dinov2ForImageClassification", "Dinov2Config", _VISION | dict(patch_size=16), _pixels),
    "dinov2_registers": ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", _VISION, _pixels),
    "dinov3_vit": ("DINOv3ViTModel", "DINOv3ViTConfig", _VISION, _pixels),
    "ijepa": ("IJepaForImageClassification", "IJepaConfig", _VISION, _pixels),
    "vit_mae": ("ViTMSNForImageClassification", "ViTMSNConfig", _VISION, _pixels),
    "vit_det": ("VitDetModel", "VitDetConfig", dict(image_size=SIDE, pretrain_image_size=SIDE, patch_size=16, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, window_block_indices=[0], window_size=2, residual_block_indices=[1]), _pixels),
    "hiera": ("HieraForImageClassification", "HieraConfig", dict(image_size=[SIDE, SIDE], embed_dim=16, depths=[1, 1, 2], num_heads=[1, 2, 4], masked_unit_size=[4, 4], num_query_pool=2), _pixels),
    "convnext": ("ConvNextForImageClassification", "ConvNextConfig", dict(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1]), _pixels),
    "convnext_v2": ("ConvNextV2ForImageClassification", "ConvNextV2Config", dict(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1]), _pixels),
    "dinov3_convnext": ("DINOv3ConvNextModel", "DINOv3ConvNextConfig", dict(hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 1, 1]), _pixels),
    "swin": ("SwinForImageClassification", "SwinConfig", dict(image_size=SIDE, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4), _pixels),
    "swinv2": ("Swinv2ForImageClassification", "Swinv2Config", dict(image_size=SIDE, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4), _pixels),
    "donut_swin": ("DonutSwinForImageClassification", "DonutSwinConfig", dict(image_size=SIDE, patch_size=4, embed_dim=16, depths=[2, 2], num_heads=[2, 4], window_size=4), _pixels),
    "maxvit_focalnet": ("FocalNetForImageClassification", "FocalNetConfig", dict(image_size=SIDE, embed_dim=16, depths=[1, 1], hidden_sizes=[16, 32], focal_levels=[2, 2], focal_windows=[3, 3]), _pixels),
    "segformer": ("SegformerForSemanticSegmentation", "SegformerConfig", dict(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 4], decoder_hidden_size=32, num_labels=5), _pixels),
    "regnet": ("RegNetForImageClassification", "RegNetConfig", dict(embedding_size=16, hidden_sizes=[16, 32, 48, 64], depths=[1, 1, 2, 1], groups_width=8), _pixels),
    "bit": ("BitForImageClassification", "BitConfig", dict(embedding_size=16, hidden_sizes=[32, 64], depths=[1, 2], num_groups=8), _pixels),
    "mobilevit": ("MobileViTForImageClassification", "MobileViTConfig", dict(image_size=SIDE, hidden_sizes=[24, 32, 40], neck_hidden_sizes=[8, 8, 16, 24, 32, 40, 64]), _pixels),
    "mobilevit_v2": ("MobileViTV2ForImageClassification", "MobileViTV2Config", dict(image_size=SIDE, width_multiplier=0.25, n_attn_blocks=[1, 1, 1]), _pixels),
    "pvt": ("PvtForImageClassification", "PvtConfig", dict(image_size=SIDE, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 4]), _pixels),
    "pvt_v2": ("PvtV2ForImageClassification", "PvtV2Config", dict(image_size=SIDE, hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 4]), _pixels),
    "poolformer": ("PoolFormerForImageClassification", "PoolFormerConfig", dict(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1]), _pixels),
    "levit": ("LevitForImageClassification", "LevitConfig", dict(image_size=128, hidden_sizes=[32, 48, 64], num_attention_heads=[2, 3, 4], depths=[1, 1, 1], key_dim=[8, 8, 8]), lambda: _pixels(128)),
    "swiftformer": ("SwiftFormerForImageClassification", "SwiftFormerConfig", dict(image_size=SIDE, embed_dims=[8, 16, 32, 64], depths=[1, 1, 1, 1]), _pixels),
    "efficientloftr_textnet": ("TextNetForImageClassification", "TextNetConfig", dict(stem_out_channels=8, hidden_sizes=[8, 16, 32, 48, 64]), _pixels),
    "hgnet_v2": ("HGNetV2ForImageClassification", "HGNetV2Config", dict(), _pixels),
    "glpn": ("GLPNForDepthEstimation", "GLPNConfig", dict(hidden_sizes=[8, 16, 32, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 4, 4], decoder_hidden_size=16), _pixels),
    "dpt": ("DPTForDepthEstimation", "DPTConfig", _VISION | dict(num_hidden_layers=4, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[16, 16, 16, 16], fusion_hidden_size=16, is_hybrid=False), _pixels),
    "yolos": ("YolosForObjectDetection", "YolosConfig", _VISION | dict(image_size=[SIDE, SIDE], num_detection_tokens=5), _pixels),
    "swin2sr": ("Swin2SRForImageSuperResolution", "Swin2SRConfig", dict(image_size=32, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4), lambda: _pixels(32)),
    "superpoint_vitmatte_upernet": ("UperNetForSemanticSegmentation", "UperNetConfig", dict(), _pixels),
    "perceiver_videomae": ("VideoMAEForVideoClassification", "VideoMAEConfig", _VISION | dict(num_frames=4, tubelet_size=2), lambda: {"pixel_values": torch.randn(BATCH, 4, 3, SIDE, SIDE)}),
    "timesformer": ("TimesformerForVideoClassification", "TimesformerConfig", _VISION | dict(num_frames=2), lambda: {"pixel_values": torch.randn(BATCH, 2, 3, SIDE, SIDE)}),
    "vivit": ("VivitForVideoClassification", "VivitConfig", _VISION | dict(num_frames=4, tubelet_size=[2, 16, 16]), lambda: {"pixel_values": torch.randn(BATCH, 4, 3, SIDE, SIDE)}),
    # text encoders
    "bert": ("BertForSequenceClassification", "BertConfig", _ENCODER, _masked),
    "minilm": ("BertModel", "BertConfig", _ENCODER, _masked),
    "bert_mlm": ("BertForMaskedLM", "BertConfig", _ENCODER, _text),
    "bert_qa": ("BertForQuestionAnswering", "BertConfig", _ENCODER, _masked),
    "roberta": ("RobertaForSequenceClassification", "RobertaConfig", _ENCODER, _masked),
    "xlm_roberta": ("XLMRobertaForTokenClassification", "XLMRobertaConfig", _ENCODER, _masked),
    "camembert": ("CamembertForMaskedLM", "CamembertConfig", _ENCODER, _masked),
    "electra": ("ElectraForSequenceClassification", "ElectraConfig", _ENCODER | dict(embedding_size=32), _masked),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig", dict(vocab_size=VOCABULARY, dim=64, n_layers=2, n_heads=4, hidden_dim=96), _masked),
    "albert": ("AlbertForSequenceClassification", "AlbertConfig", _ENCODER | dict(embedding_size=32), _masked),
    "deberta": ("DebertaForSequenceClassification", "DebertaConfig", _ENCODER | dict(relative_attention=True, pos_att_type=["c2p", "p2c"]), _masked),
    "deberta_v2": ("DebertaV2ForSequenceClassification", "DebertaV2Config", _ENCODER | dict(relative_attention=True, pos_att_type=["c2p", "p2c"], position_buckets=8), _masked),
    "mpnet": ("MPNetForSequenceClassification", "MPNetConfig", _ENCODER, _masked),
    "modernbert": ("ModernBertForSequenceClassification", "ModernBertConfig", _TEXT | dict(intermediate_size=96, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, local_attention=8), _masked),
    "layoutlm": ("LayoutLMForTokenClassification", "LayoutLMConfig", _ENCODER, _masked),
    "funnel": ("FunnelForSequenceClassification", "FunnelConfig", dict(vocab_size=VOCABULARY, d_model=64, n_head=4, d_head=16, d_inner=96, block_sizes=[1, 1]), _masked),
    "fnet": ("FNetForSequenceClassification", "FNetConfig", dict(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, intermediate_size=96, max_position_embeddings=64), _text),
    "squeezebert": ("SqueezeBertForSequenceClassification", "SqueezeBertConfig", _ENCODER | dict(embedding_size=64), _masked),
    "mobilebert": ("MobileBertForSequenceClassification", "MobileBertConfig", _ENCODER | dict(embedding_size=32, intra_bottleneck_size=32, true_hidden_size=32), _masked),
    "roformer": ("RoFormerForSequenceClassification", "RoFormerConfig", _ENCODER | dict(embedding_size=64), _masked),
    "convbert": ("ConvBertForSequenceClassification", "ConvBertConfig", _ENCODER | dict(embedding_size=64), _masked),
    "ibert_esm": ("EsmForMaskedLM", "EsmConfig", _TEXT | dict(intermediate_size=96, pad_token_id=1, mask_token_id=2, position_embedding_type="rotary"), _masked),
    "megatron_bert": ("MegatronBertForSequenceClassification", "MegatronBertConfig", _ENCODER, _masked),
    "rembert": ("RemBertForSequenceClassification", "RemBertConfig", _ENCODER | dict(input_embedding_size=32, output_embedding_size=48), _masked),
    "splinter_luke": ("LukeForSequenceClassification", "LukeConfig", _ENCODER | dict(entity_vocab_size=10, entity_emb_size=32), _masked),
    "xlnet": ("XLNetForSequenceClassification", "XLNetConfig", dict(vocab_size=VOCABULARY, d_model=64, n_layer=2, n_head=4, d_inner=96), _masked),
    "xlm": ("XLMForSequenceClassification", "XLMConfig", dict(vocab_size=VOCABULARY, emb_dim=64, n_layers=2, n_heads=4), _masked),
    "flaubert": ("FlaubertForSequenceClassification", "FlaubertConfig", dict(vocab_size=VOCABULARY, emb_dim=64, n_layers=2, n_heads=4), _masked),
    "longformer": ("LongformerForSequenceClassification", "LongformerConfig", _ENCODER | dict(attention_window=4), _masked),
    "bigbird": ("BigBirdForSequenceClassification", "BigBirdConfig", _ENCODER | dict(attention_type="original_full"), _masked),
    "canine": ("CanineForSequenceClassification", "CanineConfig", _ENCODER | dict(num_hash_buckets=32, downsampling_rate=2, local_transformer_stride=4), _masked),
    # text decoders
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64), _text),
    "openai_gpt": ("OpenAIGPTLMHeadModel", "OpenAIGPTConfig", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64), _text),
    "gpt_neo": ("GPTNeoForCausalLM", "GPTNeoConfig", dict(vocab_size=VOCABULARY, hidden_size=64, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=4, max_position_embeddings=64), _text),
    "gpt_neox": ("GPTNeoXForCausalLM", "GPTNeoXConfig", _TEXT | dict(intermediate_size=96, max_position_embeddings=64), _text),
    "gptj": ("GPTJForCausalLM", "GPTJConfig", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64, rotary_dim=8), _text),
    "codegen": ("CodeGenForCausalLM", "CodeGenConfig", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64, rotary_dim=8), _text),
    "gpt_bigcode": ("GPTBigCodeForCausalLM", "GPTBigCodeConfig", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64), _text),
    "opt": ("OPTForCausalLM", "OPTConfig", dict(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, ffn_dim=96, max_position_embeddings=64, word_embed_proj_dim=64), _masked),
    "bloom": ("BloomForCausalLM", "BloomConfig", dict(vocab_size=VOCABULARY, hidden_size=64, n_layer=2, n_head=4), _text),
    "falcon": ("FalconForCausalLM", "FalconConfig", _TEXT, _text),
    "falcon_alibi": ("FalconForCausalLM", "FalconConfig", _TEXT | dict(alibi=True, new_decoder_architecture=False), _masked),
    "mpt": ("MptForCausalLM", "MptConfig", dict(vocab_size=VOCABULARY, d_model=64, n_layers=2, n_heads=4, max_seq_len=64, expansion_ratio=2), _text),
    "xglm": ("XGLMForCausalLM", "XGLMConfig", dict(vocab_size=VOCABULARY, d_model=64, num_layers=2, attention_heads=4, ffn_dim=96, max_position_embeddings=64), _text),
    "biogpt": ("BioGptForCausalLM", "BioGptConfig", _DECODER, _masked),
    "ctrl": ("CTRLLMHeadModel", "CTRLConfig", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64, dff=96), _text),
    "llama": ("LlamaForCausalLM", "LlamaConfig", _DECODER, _text),
    "llama_masked": ("LlamaForCausalLM", "LlamaConfig", _DECODER, _masked),
    "llama_rope": ("LlamaForCausalLM", "LlamaConfig", _DECODER | dict(rope_parameters={"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 32}), _text),
    "llama_dynamic": ("LlamaForCausalLM", "LlamaConfig", _DECODER | dict(rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}), _text),
    "mistral": ("MistralForCausalLM", "MistralConfig", _DECODER | dict(sliding_window=4), _text),
    "ministral": ("MinistralForCausalLM", "MinistralConfig", _DECODER | dict(sliding_window=4, head_dim=16), _text),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", _DECODER, _text),
    "qwen3": ("Qwen3ForCausalLM", "Qwen3Config", _DECODER | dict(head_dim=16), _text),
    "phi": ("PhiForCausalLM", "PhiConfig", _DECODER, _text),
    "phi3": ("Phi3ForCausalLM", "Phi3Config", _DECODER, _text),
    "gemma": ("GemmaForCausalLM", "GemmaConfig", _DECODER | dict(head_dim=16), _text),
    "gemma2": ("Gemma2ForCausalLM", "Gemma2Config", _DECODER | dict(head_dim=16, sliding_window=8, query_pre_attn_scalar=16), _text),
    "gemma3": ("Gemma3ForCausalLM", "Gemma3TextConfig", _DECODER | dict(head_dim=16, sliding_window=8, query_pre_attn_scalar=16, layer_types=["sliding_attention", "full_attention"]), _text),
    "gemma3n": ("Gemma3nForCausalLM", "Gemma3nTextConfig", _DECODER | dict(head_dim=16, sliding_window=8, num_kv_shared_layers=0, vocab_size_per_layer_input=VOCABULARY, hidden_size_per_layer_input=16, layer_types=["sliding_attention", "full_attention"], laurel_rank=8, activation_sparsity_pattern=[0.5, 0.0]), _text),
    "stablelm": ("StableLmForCausalLM", "StableLmConfig", _DECODER, _text),
    "cohere": ("CohereForCausalLM", "CohereConfig", _DECODER, _text),
    "cohere2": ("Cohere2ForCausalLM", "Cohere2Config", _DECODER | dict(sliding_window=4), _text),
    "olmo": ("OlmoForCausalLM", "OlmoConfig", _DECODER, _text),
    "olmo2": ("Olmo2ForCausalLM", "Olmo2Config", _DECODER, _text),
    "olmo3": ("Olmo3ForCausalLM", "Olmo3Config", _DECODER | dict(sliding_window=4), _text),
    "granite": ("GraniteForCausalLM", "GraniteConfig", _DECODER, _text),
    "nemotron": ("NemotronForCausalLM", "NemotronConfig", _DECODER, _text),
    "starcoder2": ("Starcoder2ForCausalLM", "Starcoder2Config", _DECODER, _text),
    "persimmon": ("PersimmonForCausalLM", "PersimmonConfig", _DECODER, _text),
    "glm": ("GlmForCausalLM", "GlmConfig", _DECODER | dict(head_dim=16), _text),
    "glm4": ("Glm4ForCausalLM", "Glm4Config", _DECODER | dict(head_dim=16), _text),
    "helium": ("HeliumForCausalLM", "HeliumConfig", _DECODER | dict(head_dim=16), _text),
    "smollm3": ("SmolLM3ForCausalLM", "SmolLM3Config", _DECODER, _text),
    "exaone4": ("Exaone4ForCausalLM", "Exaone4Config", _DECODER | dict(sliding_window=4), _text),
    "ernie4_5": ("Ernie4_5ForCausalLM", "Ernie4_5Config", _DECODER | dict(head_dim=16), _text),
    "seed_oss": ("SeedOssForCausalLM", "SeedOssConfig", _DECODER | dict(head_dim=16), _text),
    "apertus": ("ApertusForCausalLM", "ApertusConfig", _DECODER, _text),
    "arcee": ("ArceeForCausalLM", "ArceeConfig", _DECODER, _text),
    "diffllama": ("DiffLlamaForCausalLM", "DiffLlamaConfig", _DECODER, _text),
    "bitnet": ("BitNetForCausalLM", "BitNetConfig", _DECODER, _text),
    "llama_bf16": ("LlamaForCausalLM", "LlamaConfig", _DECODER | dict(dtype="bfloat16"), _text),
    "llama_classify": ("LlamaForSequenceClassification", "LlamaConfig", _DECODER, _text),
    "mamba": ("MambaForCausalLM", "MambaConfig", dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8), _text),
    "mamba2": ("Mamba2ForCausalLM", "Mamba2Config", dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8, num_heads=4, head_dim=16, n_groups=1, chunk_size=8), _text),
    "falcon_mamba": ("FalconMambaForCausalLM", "FalconMambaConfig", dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, state_size=8), _text),
    "rwkv": ("RwkvForCausalLM", "RwkvConfig", dict(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, context_length=32, attention_hidden_size=32), _text),
    "recurrent_gemma": ("RecurrentGemmaForCausalLM", "RecurrentGemmaConfig", _DECODER | dict(lru_width=64, attention_window_size=8, block_types=["recurrent", "attention"]), _text),
    # experts
    "mixtral": ("MixtralForCausalLM", "MixtralConfig", _DECODER | dict(num_local_experts=4, num_experts_per_tok=2), _text),
    "phimoe": ("PhimoeForCausalLM", "PhimoeConfig", _DECODER | dict(num_local_experts=4, num_experts_per_tok=2), _text),
    "qwen2_moe": ("Qwen2MoeForCausalLM", "Qwen2MoeConfig", _MOE | dict(shared_expert_intermediate_size=48), _text),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "Qwen3MoeConfig", _MOE | dict(head_dim=16), _text),
    "olmoe": ("OlmoeForCausalLM", "OlmoeConfig", _DECODER | dict(num_experts=4, num_experts_per_tok=2), _text),
    "granitemoe": ("GraniteMoeForCausalLM", "GraniteMoeConfig", _DECODER | dict(num_local_experts=4, num_experts_per_tok=2), _text),
    "deepseek_v2": ("DeepseekV2ForCausalLM", "DeepseekV2Config", _DECODER | dict(num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, q_lora_rank=24, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16, first_k_dense_replace=1, n_group=2, topk_group=1, topk_method="group_limited_greedy", n_shared_experts=1), _text),
    "deepseek_v3": ("DeepseekV3ForCausalLM", "DeepseekV3Config", _DECODER | dict(num_key_value_heads=4, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, q_lora_rank=24, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16, first_k_dense_replace=1, n_group=2, topk_group=1, n_shared_experts=1), _text),
    "gpt_oss": ("GptOssForCausalLM", "GptOssConfig", _DECODER | dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2, sliding_window=8, rope_parameters={"rope_type": "default", "rope_theta": 10000.0}), _text),
    "glm4_moe": ("Glm4MoeForCausalLM", "Glm4MoeConfig", _DECODER | dict(head_dim=16, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, first_k_dense_replace=1, n_group=1, topk_group=1, n_shared_experts=1), _text),
    "ernie4_5_moe": ("Ernie4_5_MoeForCausalLM", "Ernie4_5_MoeConfig", _DECODER | dict(head_dim=16, moe_num_experts=4, moe_k=2, moe_intermediate_size=32, moe_layer_start_index=1, moe_num_shared_experts=1), _text),
    "jamba": ("JambaForCausalLM", "JambaConfig", _DECODER | dict(num_hidden_layers=2, num_experts=4, num_experts_per_tok=2, attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2, expert_layer_offset=1, mamba_d_state=8, mamba_dt_rank=4, use_mamba_kernels=False), _text),
    "minimax": ("MiniMaxForCausalLM", "MiniMaxConfig", _DECODER | dict(num_local_experts=4, num_experts_per_tok=2, head_dim=16, block_size=8, layer_types=["full_attention", "linear_attention"]), _text),
    "hunyuan_moe": ("HunYuanMoEV1ForCausalLM", "HunYuanMoEV1Config", _DECODER | dict(head_dim=16, num_experts=4, moe_topk=[2, 2]), _text),
    "llama4": ("Llama4ForCausalLM", "Llama4TextConfig", _DECODER | dict(head_dim=16, intermediate_size_mlp=96, num_local_experts=4, num_experts_per_tok=1, interleave_moe_layer_step=1, attention_chunk_size=8), _text),
    "dbrx": ("DbrxForCausalLM", "DbrxConfig", dict(d_model=64, n_heads=4, n_layers=2, max_seq_len=64, vocab_size=VOCABULARY, attn_config=dict(kv_n_heads=2, clip_qkv=8, rope_theta=10000.0), ffn_config=dict(ffn_hidden_size=48, moe_num_experts=4, moe_top_k=2)), _text),
    "switch": ("SwitchTransformersForConditionalGeneration", "SwitchTransformersConfig", _T5 | dict(num_experts=4, num_sparse_encoder_layers=1, num_sparse_decoder_layers=1), lambda: _masked() | {"decoder_input_ids": _ids(7)}),
    "jetmoe": ("JetMoeForCausalLM", "JetMoeConfig", _DECODER | dict(kv_channels=16, num_local_experts=4, num_experts_per_tok=2, num_key_value_heads=2), _text),
    "deepseek_v4": ("DeepseekV4ForCausalLM", "DeepseekV4Config", _DECODER | dict(n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32), _text),
    "nemotron_h": ("NemotronHForCausalLM", "NemotronHConfig", _DECODER | dict(head_dim=16, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, moe_shared_expert_intermediate_size=32, n_group=1, topk_group=1, n_shared_experts=1, ssm_state_size=8, mamba_num_heads=4, mamba_head_dim=16, n_groups=1, chunk_size=8, layers_block_type=["mamba", "moe", "attention"], use_mamba_kernels=False), _text),
    "aria": ("AriaTextForCausalLM", "AriaTextConfig", _DECODER | dict(moe_num_experts=4, moe_topk=2, moe_num_shared_experts=1), _text),
    "qwen3_next": ("Qwen3NextForCausalLM", "Qwen3NextConfig", _MOE | dict(head_dim=16, linear_num_key_heads=2, linear_num_value_heads=4, linear_key_head_dim=16, linear_value_head_dim=16, shared_expert_intermediate_size=48, layer_types=["linear_attention", "full_attention"]), _text),
    "lfm2": ("Lfm2ForCausalLM", "Lfm2Config", _DECODER | dict(layer_types=["conv", "full_attention"]), _text),
    "lfm2_moe": ("Lfm2MoeForCausalLM", "Lfm2MoeConfig", _DECODER | dict(layer_types=["conv", "full_attention"], num_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, num_dense_layers=1), _text),
    "bamba": ("BambaForCausalLM", "BambaConfig", _DECODER | dict(attn_layer_indices=[1], mamba_n_heads=8, mamba_d_head=16, mamba_d_state=8, mamba_chunk_size=8), _text),
    "zamba2": ("Zamba2ForCausalLM", "Zamba2Config", _DECODER | dict(num_hidden_layers=3, mamba_d_state=8, n_mamba_heads=4, mamba_headdim=32, mamba_ngroups=1, chunk_size=8, num_mem_blocks=1, layers_block_type=["mamba", "hybrid", "mamba"], use_mem_rope=False, adapter_rank=8, num_key_value_heads=4), _text),
    "granitemoehybrid": ("GraniteMoeHybridForCausalLM", "GraniteMoeHybridConfig", _DECODER | dict(num_local_experts=4, num_experts_per_tok=2, shared_intermediate_size=32, layer_types=["mamba", "attention"], mamba_n_heads=8, mamba_d_head=16, mamba_d_state=8, mamba_chunk_size=8), _text),
    "dots1": ("Dots1ForCausalLM", "Dots1Config", _DECODER | dict(head_dim=16, n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=32, first_k_dense_replace=1, n_group=1, topk_group=1, n_shared_experts=1), _text),
    "flex_olmo": ("FlexOlmoForCausalLM", "FlexOlmoConfig", _DECODER | dict(num_experts=4, num_experts_per_tok=2), _text),
    "minimax_m2": ("MiniMaxM2ForCausalLM", "MiniMaxM2Config", _DECODER | dict(head_dim=16, num_local_experts=4, num_experts_per_tok=2), _text),
    "kimi_linear": ("KimiLinearForCausalLM", "KimiLinearConfig", _DECODER, _text),
    "xlstm": ("xLSTMForCausalLM", "xLSTMConfig", dict(vocab_size=VOCABULARY, hidden_size=64, num_hidden_layers=2, num_heads=4, chunk_size=4), _text),
    "minicpm3": ("MiniCPM3ForCausalLM", "MiniCPM3Config", _DECODER | dict(num_key_value_heads=4, q_lora_rank=24, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=16), _text),
    "nanochat": ("NanoChatForCausalLM", "NanoChatConfig", _DECODER, _text),
    "vaultgemma": ("VaultGemmaForCausalLM", "VaultGemmaConfig", _DECODER | dict(head_dim=16, sliding_window=8, query_pre_attn_scalar=16), _text),
    "doge": ("DogeForCausalLM", "DogeConfig", _DECODER, _text),
    "gpt_neox_japanese": ("GPTNeoXJapaneseForCausalLM", "GPTNeoXJapaneseConfig", _TEXT | dict(intermediate_multiple_size=2, max_position_embeddings=64), _text),
    "modernbert_decoder": ("ModernBertDecoderForCausalLM", "ModernBertDecoderConfig", _TEXT | dict(intermediate_size=96, max_position_embeddings=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2, local_attention=8), _text),
    "imagegpt": ("ImageGPTForCausalImageModeling", "ImageGPTConfig", dict(vocab_size=VOCABULARY, n_embd=64, n_layer=2, n_head=4, n_positions=64), _text),
    "bert_generation": ("BertGenerationDecoder", "BertGenerationConfig", _ENCODER | dict(is_decoder=True), _text),
    "ernie": ("ErnieForSequenceClassification", "ErnieConfig", _ENCODER, _masked),
    "xmod": ("XmodForSequenceClassification", "XmodConfig", _ENCODER | dict(languages=["en_XX"], default_language="en_XX"), _masked),
    "roberta_prelayernorm": ("RobertaPreLayerNormForSequenceClassification", "RobertaPreLayerNormConfig", _ENCODER, _masked),
    "xlm_roberta_xl": ("XLMRobertaXLForSequenceClassification", "XLMRobertaXLConfig", _ENCODER, _masked),
    "data2vec_text": ("Data2VecTextForSequenceClassification", "Data2VecTextConfig", _ENCODER, _masked),
    "ibert": ("IBertForSequenceClassification", "IBertConfig", _ENCODER, _masked),
    "eurobert": ("EuroBertForMaskedLM", "EuroBertConfig", _DECODER, _masked),
    "nomic_bert": ("NomicBertForMaskedLM", "NomicBertConfig", _ENCODER, _masked),
    "dpr": ("DPRQuestionEncoder", "DPRConfig", _ENCODER, _masked),
    "tapas": ("TapasModel", "TapasConfig", _ENCODER | dict(type_vocab_sizes=[3, 16, 16, 2, 16, 16, 10]), _masked),
    "lilt": ("LiltForTokenClassification", "LiltConfig", _ENCODER | dict(hidden_size=48) | dict(channel_shrink_ratio=2, max_2d_position_embeddings=64), _masked),
    "mra": ("MraForSequenceClassification", "MraConfig", _ENCODER, _masked),
    "yoso": ("YosoForSequenceClassification", "YosoConfig", _ENCODER | dict(use_expectation=True), _masked),
    "roc_bert": ("RoCBertForSequenceClassification", "RoCBertConfig", _ENCODER | dict(pronunciation_vocab_size=VOCABULARY, shape_vocab_size=VOCABULARY, pronunciation_embed_dim=16, shape_embed_dim=16), _masked),
    "markuplm": ("MarkupLMForSequenceClassification", "MarkupLMConfig", _ENCODER, _masked),
    "bros": ("BrosModel", "BrosConfig", _ENCODER, lambda: _masked() | {"bbox": torch.rand(BATCH, LENGTH, 8)}),
    # encoder and decoder
    "t5": ("T5ForConditionalGeneration", "T5Config", _T5, _pair),
    "t5_encoder": ("T5EncoderModel", "T5Config", _T5, _masked),
    "mt5": ("MT5ForConditionalGeneration", "MT5Config", _T5, _pair),
    "umt5": ("UMT5ForConditionalGeneration", "UMT5Config", _T5, _pair),
    "longt5": ("LongT5ForConditionalGeneration", "LongT5Config", _T5 | dict(local_radius=3), lambda: _masked() | {"decoder_input_ids": _ids(7)}),
    "longt5_global": ("LongT5ForConditionalGeneration", "LongT5Config", _T5 | dict(local_radius=3, global_block_size=4, encoder_attention_type="transient-global"), lambda: _masked() | {"decoder_input_ids": _ids(7)}),
    "bart": ("BartForConditionalGeneration", "BartConfig", _SEQ2SEQ, _pair),
    "mbart": ("MBartForConditionalGeneration", "MBartConfig", _SEQ2SEQ, _pair),
    "pegasus": ("PegasusForConditionalGeneration", "PegasusConfig", _SEQ2SEQ, _pair),
    "pegasus_x": ("PegasusXForConditionalGeneration", "PegasusXConfig", _SEQ2SEQ | dict(block_size=4, num_global_tokens=4), lambda: {"input_ids": _ids(), "attention_mask": torch.ones(BATCH, LENGTH, dtype=torch.int64), "decoder_input_ids": _ids(7)}),
    "blenderbot": ("BlenderbotForConditionalGeneration", "BlenderbotConfig", _SEQ2SEQ, _pair),
    "marian": ("MarianMTModel", "MarianConfig", _SEQ2SEQ | dict(pad_token_id=0, decoder_start_token_id=0), _pair),
    "m2m_100": ("M2M100ForConditionalGeneration", "M2M100Config", _SEQ2SEQ, _pair),
    "led": ("LEDForConditionalGeneration", "LEDConfig", _SEQ2SEQ | dict(attention_window=4, max_encoder_position_embeddings=64, max_decoder_position_embeddings=64), lambda: _masked() | {"decoder_input_ids": _ids(7)}),
    "fsmt": ("FSMTForConditionalGeneration", "FSMTConfig", dict(langs=["en", "de"], src_vocab_size=VOCABULARY, tgt_vocab_size=VOCABULARY, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=64), _pair),
    "prophetnet": ("ProphetNetForConditionalGeneration", "ProphetNetConfig", dict(vocab_size=VOCABULARY, hidden_size=64, num_encoder_layers=2, num_decoder_layers=2, num_encoder_attention_heads=4, num_decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=64), _pair),
    "plbart": ("PLBartForConditionalGeneration", "PLBartConfig", _SEQ2SEQ, _pair),
    "t5gemma": ("T5GemmaForConditionalGeneration", "T5GemmaConfig", dict(encoder=_DECODER | dict(head_dim=16, sliding_window=8), decoder=_DECODER | dict(head_dim=16, sliding_window=8), vocab_size=VOCABULARY), _pair),
    # speech
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", dict(vocab_size=VOCABULARY, d_model=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, num_mel_bins=16, max_source_positions=24, max_target_positions=32, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=[], begin_suppress_tokens=[]), lambda: {"input_features": torch.randn(BATCH, 16, 48), "decoder_input_ids": _ids(5)}),
    "wav2vec2": ("Wav2Vec2ForCTC", "Wav2Vec2Config", _SPEECH, _wave),
    "wav2vec2_stable": ("Wav2Vec2ForCTC", "Wav2Vec2Config", _SPEECH | dict(do_stable_layer_norm=True, feat_extract_norm="layer"), _wave),
    "wav2vec2_conformer": ("Wav2Vec2ConformerForCTC", "Wav2Vec2ConformerConfig", _SPEECH | dict(position_embeddings_type="relative", conv_depthwise_kernel_size=7, max_source_positions=200), _wave),
    "hubert": ("HubertForCTC", "HubertConfig", _SPEECH, _wave),
    "wavlm": ("WavLMForCTC", "WavLMConfig", _SPEECH, _wave),
    "sew": ("SEWForCTC", "SEWConfig", _SPEECH | dict(squeeze_factor=2), _wave),
    "data2vec_audio": ("Data2VecAudioForCTC", "Data2VecAudioConfig", _SPEECH, _wave),
    "unispeech": ("UniSpeechForCTC", "UniSpeechConfig", _SPEECH, _wave),
    "ast": ("ASTForAudioClassification", "ASTConfig", dict(hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, max_length=64, num_mel_bins=32), lambda: {"input_values": torch.randn(BATCH, 64, 32)}),
    "speech_to_text": ("Speech2TextForConditionalGeneration", "Speech2TextConfig", _SEQ2SEQ | dict(input_feat_per_channel=16, input_channels=1, conv_channels=32, max_source_positions=64, max_target_positions=32, num_conv_layers=2), lambda: {"input_features": torch.randn(BATCH, 48, 16), "decoder_input_ids": _ids(5)}),
    "moonshine": ("MoonshineForConditionalGeneration", "MoonshineConfig", dict(vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, encoder_num_hidden_layers=2, decoder_num_hidden_layers=2, encoder_num_attention_heads=4, decoder_num_attention_heads=4), lambda: {"input_values": torch.randn(BATCH, 4000), "decoder_input_ids": _ids(5)}),
    "encodec_mimi_clap": ("ClapAudioModel", "ClapAudioConfig", dict(spec_size=64, num_mel_bins=16, patch_embeds_hidden_size=16, depths=[1, 1], num_attention_heads=[2, 4], hidden_size=32, window_size=4, patch_stride=[4, 4]), lambda: {"input_features": torch.randn(BATCH, 1, 64, 16)}),
    "seamless_m4t": ("SeamlessM4TForTextToText", "SeamlessM4TConfig", dict(vocab_size=VOCABULARY, hidden_size=64, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=96, decoder_ffn_dim=96, max_position_embeddings=64, speech_encoder_layers=1, t2u_encoder_layers=1, t2u_decoder_layers=1, t2u_encoder_ffn_dim=32, t2u_decoder_ffn_dim=32), _pair),
    "sew_d": ("SEWDForCTC", "SEWDConfig", _SPEECH | dict(squeeze_factor=2, position_buckets=8, max_position_embeddings=64), _wave),
    "unispeech_sat": ("UniSpeechSatForCTC", "UniSpeechSatConfig", _SPEECH, _wave),
    "wav2vec2_bert": ("Wav2Vec2BertForCTC", "Wav2Vec2BertConfig", dict(vocab_size=32, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=96, feature_projection_input_dim=32, conv_depthwise_kernel_size=7), lambda: {"input_features": torch.randn(BATCH, 24, 32)}),
    "encodec": ("EncodecModel", "EncodecConfig", dict(num_filters=8, hidden_size=16, codebook_dim=16, num_residual_layers=1, upsampling_ratios=[4, 2], codebook_size=32, target_bandwidths=[1.5]), lambda: {"input_values": torch.randn(BATCH, 1, 480)}),
    "dac": ("DacModel", "DacConfig", dict(encoder_hidden_size=8, downsampling_ratios=[2, 4], decoder_hidden_size=32, n_codebooks=2, codebook_size=32, codebook_dim=4), lambda: {"input_values": torch.randn(BATCH, 1, 480)}),
    "vits": ("VitsModel", "VitsConfig", dict(vocab_size=VOCABULARY), _text),
    "informer": ("TimesFmModelForPrediction", "TimesFmConfig", dict(patch_length=8, context_length=32, horizon_length=8, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, head_dim=16, quantiles=[0.5]), lambda: {"past_values": torch.randn(BATCH, 32)}),
    # several modalities, detection
    "align_text": ("AlignTextModel", "AlignTextConfig", _ENCODER, _masked),
    "xclip": ("XCLIPTextModel", "XCLIPTextConfig", _ENCODER, _masked),
    "flava": ("FlavaTextModel", "FlavaTextConfig", _ENCODER, _masked),
    "llava": ("LlavaForConditionalGeneration", "LlavaConfig", dict(text_config=transformers.LlamaConfig(**_DECODER), vision_config=transformers.CLIPVisionConfig(**_VISION), image_token_index=VOCABULARY - 1), _text),
    "paligemma_vision": ("SiglipVisionModel", "SiglipVisionConfig", _VISION | dict(vision_use_head=False), _pixels),
    "git": ("GitForCausalLM", "GitConfig", _ENCODER | dict(vision_config=_VISION), _masked),
    "pix2struct": ("Pix2StructVisionModel", "Pix2StructVisionConfig", dict(hidden_size=64, d_ff=96, num_hidden_layers=2, num_attention_heads=4, d_kv=16, patch_embed_hidden_size=48, seq_len=64), lambda: {"flattened_patches": torch.rand(BATCH, 16, 50)}),
    "lxmert": ("LxmertModel", "LxmertConfig", _ENCODER | dict(l_layers=1, x_layers=1, r_layers=1, visual_feat_dim=16), lambda: _masked() | {"visual_feats": torch.randn(BATCH, 5, 16), "visual_pos": torch.rand(BATCH, 5, 4)}),
    "visual_bert": ("VisualBertModel", "VisualBertConfig", _ENCODER | dict(visual_embedding_dim=16), lambda: _masked() | {"visual_embeds": torch.randn(BATCH, 5, 16)}),
    "depth_anything": ("DepthAnythingForDepthEstimation", "DepthAnythingConfig", dict(backbone_config=transformers.Dinov2Config(**_VISION, out_features=["stage1", "stage2"], reshape_hidden_states=False), reassemble_hidden_size=64, reassemble_factors=[2, 1], neck_hidden_sizes=[16, 32], fusion_hidden_size=16, patch_size=16), _pixels),
    "zoedepth_vitpose": ("VitPoseForPoseEstimation", "VitPoseConfig", dict(backbone_config=transformers.VitPoseBackboneConfig(image_size=[SIDE, SIDE], patch_size=[16, 16], hidden_size=64, num_hidden_layers=2, num_attention_heads=4, out_features=["stage2"]), num_labels=5), _pixels),
    "superpoint": ("SuperPointForKeypointDetection", "SuperPointConfig", dict(), _pixels),
    "vitmatte": ("VitMatteForImageMatting", "VitMatteConfig", dict(backbone_config=transformers.VitDetConfig(image_size=SIDE, pretrain_image_size=SIDE, patch_size=16, num_channels=4, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, out_features=["stage2"]), hidden_size=64, fusion_hidden_sizes=[32, 16, 8, 4], convstream_hidden_sizes=[4, 8, 16]), lambda: {"pixel_values": torch.randn(BATCH, 4, SIDE, SIDE)}),
    "conditional_detr": ("ConditionalDetrForObjectDetection", "ConditionalDetrConfig", dict(backbone_config=_BACKBONE, use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, num_queries=5, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_labels=4), _pixels),
    "table_transformer": ("TableTransformerForObjectDetection", "TableTransformerConfig", dict(backbone_config=_BACKBONE, use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, num_queries=5, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_labels=4), _pixels),
    "rt_detr": ("RTDetrForObjectDetection", "RTDetrConfig", dict(backbone_config=transformers.RTDetrResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=["stage2", "stage3", "stage4"]), encoder_hidden_dim=32, encoder_in_channels=[16, 16, 32], feat_strides=[8, 16, 32], encoder_ffn_dim=48, d_model=32, num_queries=8, decoder_in_channels=[32, 32, 32], decoder_ffn_dim=48, decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, num_labels=4), _pixels),
    "dab_detr": ("DabDetrForObjectDetection", "DabDetrConfig", dict(backbone_config=_BACKBONE, use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, num_queries=5, hidden_size=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48, decoder_ffn_dim=48, num_labels=4), _pixels),
    "maskformer": ("MaskFormerForInstanceSegmentation", "MaskFormerConfig", dict(backbone_config=transformers.SwinConfig(image_size=SIDE, patch_size=4, embed_dim=16, depths=[1, 1, 1, 1], num_heads=[1, 2, 2, 4], window_size=4, out_features=["stage1", "stage2", "stage3", "stage4"]), decoder_config=transformers.DetrConfig(d_model=32, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=48, num_queries=5, backbone_config=_BACKBONE, use_timm_backbone=False, backbone=None), fpn_feature_size=32, mask_feature_size=32), _pixels),
    "clip": ("CLIPModel", "CLIPConfig", dict(text_config=_ENCODER, vision_config=_VISION, projection_dim=32), lambda: _masked() | _pixels()),
    "clip_vision": ("CLIPVisionModelWithProjection", "CLIPVisionConfig", _VISION | dict(projection_dim=32), _pixels),
    "clip_text": ("CLIPTextModelWithProjection", "CLIPTextConfig", _ENCODER | dict(projection_dim=32), _masked),
    "siglip": ("SiglipModel", "SiglipConfig", dict(text_config=_ENCODER, vision_config=_VISION), lambda: _text() | _pixels()),
    "siglip2": ("SiglipVisionModel", "SiglipVisionConfig", _VISION, _pixels),
    "altclip_chinese_clip": ("ChineseCLIPModel", "ChineseCLIPConfig", dict(text_config=_ENCODER, vision_config=_VISION, projection_dim=32), lambda: _text() | _pixels()),
    "blip": ("BlipForImageTextRetrieval", "BlipConfig", dict(text_config=_ENCODER | dict(encoder_hidden_size=64), vision_config=_VISION, projection_dim=32, image_text_hidden_size=32), lambda: _masked() | _pixels()),
    "vilt": ("ViltForImagesAndTextClassification", "ViltConfig", _ENCODER | dict(image_size=SIDE, patch_size=16, num_images=1, max_image_length=-1), lambda: _masked() | {"pixel_values": torch.randn(BATCH, 1, 3, SIDE, SIDE), "pixel_mask": torch.ones(BATCH, 1, SIDE, SIDE, dtype=torch.int64)}),
    "groupvit_owlvit": ("OwlViTModel", "OwlViTConfig", dict(text_config=_ENCODER, vision_config=_VISION, projection_dim=32), lambda: _masked() | _pixels()),
    "clipseg": ("CLIPSegForImageSegmentation", "CLIPSegConfig", dict(text_config=_ENCODER, vision_config=_VISION, projection_dim=32, extract_layers=[0, 1], reduce_dim=16, decoder_intermediate_size=32), lambda: _masked() | _pixels()),
    "trocr": ("TrOCRForCausalLM", "TrOCRConfig", dict(vocab_size=VOCABULARY, d_model=64, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=96, max_position_embeddings=64), _text),
    "time_series": ("PatchTSTForPrediction", "PatchTSTConfig", dict(num_input_channels=3, context_length=32, patch_length=4, patch_stride=4, d_model=32, num_attention_heads=4, num_hidden_layers=2, ffn_dim=48, prediction_length=8, loss="mse"), lambda: {"past_values": torch.randn(BATCH, 32, 3)}),
    "patchtsmixer": ("PatchTSMixerForPrediction", "PatchTSMixerConfig", dict(num_input_channels=3, context_length=32, patch_length=4, patch_stride=4, d_model=16, num_layers=2, prediction_length=8, loss="mse"), lambda: {"past_values": torch.randn(BATCH, 32, 3)}),
    "sam_vision": ("SamVisionModel", "SamVisionConfig", dict(hidden_size=64, output_channels=16, num_hidden_layers=2, num_attention_heads=4, image_size=SIDE, window_size=2, global_attn_indexes=[1], mlp_dim=96), _pixels),
}  # fmt: skip


def build(family: str, **others: Any) -> Built:
    """The model and its inputs; `others` are settings of its config in place of the table's."""
    torch.manual_seed(zlib.crc32(family.encode()))
    if family in _BUILT:
        return _BUILT[family]()
    model, config, options, inputs = _TABLE[family]
    settings = dict(options) | others
    dtype = getattr(torch, settings.pop("dtype", "float32"))
    module = getattr(transformers, model)(getattr(transformers, config)(**settings))
    return module.to(dtype).eval(), inputs()


def _detr() -> Built:
    config = transformers.DetrConfig(
        backbone_config=_BACKBONE, use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, num_queries=5, d_model=32,
        encoder_layers=2, decoder_layers=2, encoder_attention_heads=4, decoder_attention_heads=4, encoder_ffn_dim=48,
        decoder_ffn_dim=48, num_labels=4)  # fmt: skip
    return transformers.DetrForObjectDetection(config).eval(), _pixels()


def _channels_last() -> Built:
    module, inputs = build("resnet18")
    return (
        module.to(memory_format=torch.channels_last),
        {n: v.contiguous(memory_format=torch.channels_last) for n, v in inputs.items()},
    )


def _efficientnet_last() -> Built:
    module, inputs = build("efficientnet")
    return (
        module.to(memory_format=torch.channels_last),
        {n: v.contiguous(memory_format=torch.channels_last) for n, v in inputs.items()},
    )


_BUILT: dict[str, Callable[[], Built]] = {
    "detr": _detr,
    "resnet18_channels_last": _channels_last,
    "efficientnet_channels_last": _efficientnet_last,
}

REFUSED: dict[str, str] = {
    "llama_dynamic": "depends on data",
    "longformer": "depends on data",
    "led": "depends on data",
    "fsmt": "depends on data",
    "encodec": "depends on data",
    "xmod": "only the data decide",
    "jetmoe": "only the data decide",
    "vilt": "depends on data",
    "vits": "is random",
    "superpoint": "only the data decide",
    "switch": "use_experts_implementation",
    "dbrx": "depends on data",
    "deepseek_v4": "DeepseekV4Experts._apply_gate",
}
"""Families that export cannot take, and what the error must say."""
FAMILIES: tuple[str, ...] = tuple(name for name in (*_TABLE, *_BUILT) if name not in REFUSED)
QUICK: tuple[str, ...] = ("resnet18", "mobilenet_v2", "vit", "minilm", "gpt2", "llama", "t5", "mixtral")
CORE: tuple[str, ...] = (
    "resnet50", "efficientnet", "convnext", "swin", "detr", "segformer", "bert", "electra", "roberta", "distilbert", "albert",
    "opt", "bloom", "falcon", "stablelm", "gpt_neox", "qwen3", "gemma2", "gemma3", "phi3", "mamba", "phimoe", "qwen3_moe",
    "olmoe", "deepseek_v2", "deepseek_v3", "gpt_oss", "bart", "whisper", "wav2vec2", "clip", "llama_bf16", "llama_rope",
    "resnet18_channels_last",
)  # fmt: skip
"""Those of `make test-all`; the others run with `make sweep`."""
