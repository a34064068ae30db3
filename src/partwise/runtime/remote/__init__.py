"""Workers on other machines: who they are, how tensors and blobs reach them, and the executor that uses them.

In: a package, and the workers of a Ray cluster. Out: answers, as from every executor. Ray says who is there, starts
and restarts them; tensors, tasks and blobs travel over direct ZeroMQ links, authenticated and encrypted (`link`).
Never: a pickle of a tensor; a byte from a key that was not introduced; a blob that is not what its digest names.

    executor   obeys the schedule: tasks to workers, model inputs with them, outputs back
    members    who is there: the protocol; `ray_members` asks Ray, tests stand in for it
    worker     one worker's life: load, compute;   inbox: values pulled and kept
    link       sockets between members;   wire: what they say;   handshake: who is refused
    blobs      blobs by digest, kept on disk;   sources: where they come from
    node       `ray start`, wrapped
"""
