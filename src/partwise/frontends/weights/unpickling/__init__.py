"""torch's and numpy's pickles without running them: read in a process of its own, written as safetensors.

In: a `.pt`, `.pth`, `.bin`, `.pkl` file from anywhere. Out: a safetensors file, or the names of the globals that
were refused. Never: an import, a call or an attribute that the file names. Every global is looked up in one table
(`stand_ins`), whose entries only note what they were called with; a global outside the table becomes an object
that ignores everything, and the file is refused when it has been read. Around that stands a second wall: the
process has limits on memory, time, files and output, and an audit hook that forbids imports, processes, sockets.
"""
