"""Every fixed limit of the core, in one place; limits that an operator may change are settings (config/settings.py)."""

# One running answer (answer/)
BUFFERED_FRAMES = 256
"""Frames that may wait for one client; then the plugin waits."""
BUFFERED_SIZE = 256 * 1024
"""Their total size as the framing measures it: bytes or characters. A single larger frame passes alone."""
ANSWER_RESERVE = 32 * 1024
"""Bytes of `server.max_buffered` that each answer under way reserves: its share of the limit, whatever it sends."""
BUFFER_STEP = 32 * 1024
"""Bytes by which an answer's buffer grows up to BUFFERED_SIZE, if its client is slow and the process holds little."""
GENEROUS_PART = 0.125
"""The part of `server.max_buffered` up to which buffers grow: clients that do not read leave the rest to others."""
TURN_SIZE = 160
"""Bytes that a turn of a conversation takes beside its text: as it is decoded, and as a message for the provider."""
SMALL_SHARE = 128 * 1024
"""Bytes of a request and its answer up to which they may use all of `server.max_buffered`."""
LARGE_PART = 0.75
"""The part of it that larger ones may use: bodies of megabytes leave room for usual requests."""
KEPT_COPIES = 5
"""How often the text counts that an encoder keeps: itself, and its copies in the last events."""
WHOLE_ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of the text of an answer that is sent in one piece. The longest that models say are below 1 MiB."""
STEPS_WITHOUT_PAUSE = 256
"""Tokens that a plugin may yield in a row before other tasks run; it may never await."""
CLEANUP_LIMIT = 2.0
"""Seconds that a plugin's clean-up gets before it is abandoned."""
FINISH_GRACE = 5.0
"""Seconds after the finish reason in which usage may still arrive, however often it does."""
SIGNS_OF_LIFE = 5
"""How often tokens without text may reset the idle timer until the next text."""
LARGEST_NUMBER = 2**53 - 1
"""The largest count and `retry_after`: the largest integer that JavaScript represents exactly."""
CAUSES_FOLLOWED = 10
"""Exceptions below a plugin's error that are followed to the first one, for the log."""
RETRY_AFTER_LIMIT = 10.0
"""The longest `retry_after`, in seconds, after which the core itself retries."""
RETRY_DELAY = 0.25
"""Seconds before the first retry of an unreachable provider; doubled for each further one."""
RETRY_JITTER = 0.25
"""The part of a delay by which it is longer or shorter at random, so that many do not return together."""
REST_AFTER_UNAVAILABLE = 5.0
"""Seconds for which a candidate of a fallback is skipped after it was unavailable."""
REST_AFTER_TIMEOUT = 30.0
"""The same after it said nothing in its time."""
REST_LIMIT = 60.0
"""The longest such time that a provider may ask for with `retry_after`, in seconds."""
REST_COUNTED = 60.0
"""Seconds after its rest in which a candidate that nobody has asked again still counts as resting, in the metrics."""
RESTS_KEPT = 1000
"""Candidates whose rest is remembered."""

# Plugins and their instances (plugins/)
HOOK_TIMEOUT = 10.0
"""Seconds that a hook other than `stream_chat` may take."""
MODEL_MEMORY = 30.0
"""Seconds for which the result of a plugin's `default_model` is cached."""
CHOICE_TIMEOUT = 0.5
"""Seconds that providers get to name a model when one is chosen for agents that name none."""
OPENING_TIMEOUT = 5.0
"""Seconds that a client gets to open before that choice is made without it; it continues to open. On a busy machine
the import of an SDK is slow, which says nothing about the provider, and the choice is final."""
SLOW_IMPORT = 2.0
"""Seconds that a plugin may take to load before a warning: every command waits for it."""
PLUGIN_ERROR_LIMIT = 500
"""Characters of a quarantined plugin's error that are shown."""

# What people write (config/)
FILE_LIMIT = 1024 * 1024
"""Bytes of an agent file, an aura.toml or another file that a person writes."""
FRONT_MATTER_LIMIT = 64 * 1024
"""Characters of an agent's front matter: reading YAML takes 30 µs for each."""
FALLBACK_LIMIT = 8
"""Providers in the fallback of an agent."""
DOTS_LIMIT = 200
"""Dots in a line of an aura.toml: parsing a key takes time quadratic in the number of its parts."""
JUST_WRITTEN = 2.5
"""Seconds in which a file may change without a new time stamp: the coarsest file system clock has 2 s."""

# HTTP (server/)
HEADER_LIMIT = 64 * 1024
"""Bytes of a request's line, headers and trailers."""
REQUEST_TIMEOUT = 30.0
"""Seconds that a client has to send a complete request, from the connection or from the request's first byte."""
LINGER = 2.0
"""Seconds that the rest of a refused request is read and dropped: closing a connection with unread bytes resets it,
and the response is lost (RFC 9112, 9.6)."""
LINGER_SIZE = 16 * 1024 * 1024
"""Bytes that may arrive in this time."""
FIRST_WRITE = 0.01
"""Seconds that the head of an answer waits for what follows it, to leave in one write. Nobody sees so short a time, and
the first token of a provider on the same machine, or of a full cache, comes sooner."""
FIRST_WRITE_SIZE = 16 * 1024
"""Bytes from which on nothing waits."""
DEPARTURES = 32
"""Clients whose departure is told in one round of the event loop, and answers that are closed in one; each costs up to
0.3 ms."""
UNCLOSED = 256
"""Answers that may wait to be closed while more clients leave: who comes and goes without end holds no more."""
SEND_BUFFER = 128 * 1024
"""Bytes of a connection's send buffer; bounds the kernel's share of a stalled stream: 0.2 instead of 3.9 MB, no loss
of speed."""
MAPPED_SIZE = 128 * 1024
"""Bytes from which on a block of memory is returned to the system as soon as it is freed."""
TRIM_SIZE = 16 * 1024 * 1024
"""Bytes held for clients from which on freed memory is given back to the system after they have gone."""
TICK = 1.0
"""Seconds between two wake-ups of an idle server: it sets the header Date, which names no fractions, and looks at the
event loop and at what it holds."""
BACKLOG = 2048
"""Connections that may wait to be accepted."""
SOCKET_PATIENCE = 5.0
"""Seconds to wait for another process that opens a Unix socket in the same folder."""
SIGNS_PER_WATCHDOG = 4
"""Signs of life in the time after which systemd's watchdog, or the parent of workers, takes a process for dead."""
PROXIES_FOLLOWED = 20
"""Addresses of a header X-Forwarded-For that are examined, from its end."""
LAST_EVENT_TIME = 1.0
"""Seconds that clients get to read `server_shutdown`."""
SAME_SIGNAL = 0.5
"""Seconds in which a second signal counts as the same: a wrapper such as `uv run` forwards the terminal's signal."""
FORCED_SHUTDOWN = 3
"""Seconds until uvicorn cancels tasks that still run after all answers have ended."""
RESTART_AFTER = 5.0
"""Retry-After of refusals while the server shuts down, in seconds."""
WORKER_RESTART_DELAY = 1.0
"""Seconds between the crash of a worker and the start of its replacement."""
RELOAD_DEBOUNCE = 200
"""Milliseconds in which file changes are collected; an editor writes a file in several steps."""
RELOAD_STEP = 200
"""Milliseconds between two looks of its thread at the events: each wakes the processor."""
RELOAD_TIMEOUT = 1000
"""Milliseconds without a change after which the files are checked anyway."""
RELOAD_PAUSE = 10.0
"""Seconds until Aura asks for events again after the system refused them."""

# The command (cli/)
PIPE_PATIENCE = 3.0
"""Seconds that `aura chat` reads standard input before it says that it waits for its end."""
THREADS_TIME = 0.5
"""Seconds that threads of plugins get to finish at the end of a command."""
AGENTS_SHOWN = 100
"""Agents that are listed when the server starts."""
HEALTH_CHECK_TIMEOUT = 2.0
"""Seconds that a container's server has to say that it is ready."""

# Clients in this process (client.py)
CONNECT_TIMEOUT = 10
"""Seconds that `aura chat --url` waits for a connection."""
REMOTE_SILENCE = 45.0
"""Seconds without a byte after which it gives up a server that does not say how often it sends one."""
HEARTBEATS_MISSED = 3
"""Heartbeats after which it gives up a server that says its interval (the header Aura-Heartbeat)."""
SHORTEST_SILENCE = 10.0
"""The least of these, in seconds: a network may pause, however short the interval is."""
REMOTE_ANSWER_LIMIT = 32 * 1024 * 1024
"""Bytes of a body, of one event and of all events together that `aura chat --url` accepts."""
REMOTE_WORDS_LIMIT = 2000
"""Characters of another server's name or message that it shows."""

# What people read (telemetry/)
MESSAGE_LIMIT = 500
"""Characters of an upstream's or a plugin's message."""
REFUSALS_LOGGED = 5
"""Refusals with one code, of one client, that get a log line of their own in each interval; others are counted."""
REFUSALS_INTERVAL = 60.0
"""Seconds of that interval."""
REFUSED_PATH = 300
"""Characters of a request's path, and of why it was refused, that are logged."""
PROCESS_LOOKS = 10
"""Every how many looks at this process, for the metrics, the system is asked for memory, files and CPU time; whoever
is scraped asks anew."""
TELL_DELAY = 0.1
"""Seconds after which an answer that is over is in the log and in the metrics; in those of its own process at once."""
TOLD_TOGETHER = 32
"""Answers that are told together at most: a millisecond of work."""
LOG_QUEUE = 10_000
"""Log lines that may wait to be written; more are dropped and counted."""
LOG_INTERVAL = 0.05
"""Seconds in which log lines are collected, to be written together."""
LOG_WRITE = 4096
"""Bytes that a pipe takes at once: POSIX guarantees that no other process's lines come between (PIPE_BUF on Linux)."""
LOG_FLUSH = 1.0
"""Seconds to write the rest of the log when the process ends."""
COLLECTOR_TIME = 3.0
"""Seconds that `aura doctor` waits for the collector of traces."""
TRACES_FLUSH = 2.0
"""Seconds to send the rest of the traces then."""

# Time (deadline.py)
TIMER_LATE = 0.01
"""Seconds of delay after which a timer indicates that this process was suspended."""
SECOND_LOOK = 0.25
"""Additional seconds that others then get before a limit applies to them."""

# Reading a provider's server (streams/)
RECORD_LIMIT = 8 * 1024 * 1024
"""Bytes of one event, or of one line of NDJSON, that a server may send; Ollama's own client has the same limit."""
ERROR_BODY_LIMIT = 64 * 1024
"""Bytes of an error's body that are read."""
ERROR_BODY_TIME = 5.0
"""Seconds that an error's body gets to come."""
LAST_WORD = 0.1
"""Seconds to wait for a response's end after its last event: only a response that ended gives its connection back."""
STRAY_LIMIT = 1024
"""Bytes that are kept of lines that are not part of server-sent events."""
DECODED_LIMIT = 64 * 1024 * 1024
"""Decoded bytes of one compressed body: far more than any answer, far less than a decompression bomb."""
DECODED_PIECE = 64 * 1024
"""Bytes that are decoded before other tasks run."""
REASON_LENGTH = 4096
"""Characters of one text of an error that are examined."""
REASON_DEPTH = 10
"""Levels of JSON, and of JSON inside strings, that are searched for the reason of an error."""
REASON_VALUES = 400
"""Values that are searched for the reason of an error."""
UPSTREAM_ID_LENGTH = 200
"""Characters of the id that a server gave a request."""
WORDS_LENGTH = 280
"""Characters of a server's words in a message; the message is cut at MESSAGE_LIMIT, and the remedy comes last."""
SCRUBBED_LENGTH = 4096
"""Characters of a text that are searched for keys and returned. An error's body may be megabytes long."""
SECRET_LIMIT = 8192
"""Characters of a secret; every message is searched for its pieces."""
KEY_PIECE = 6
"""A word that shares this many consecutive characters with the key is treated as a part of it."""
LONGEST_WAIT = 24 * 3600.0
"""Seconds; a longer waiting time from a server is ignored."""
COERCED_DEPTH = 8
"""Levels of a value of an unexpected type that are searched for text."""
UNKNOWN_WORDS = 1000
"""Unknown finish words that are logged; a server may invent them."""

# What people write (config/)
LONGEST_TIME = 366 * 86400.0
"""The largest number of seconds in a setting."""
HEARTBEAT_LIMIT = 30.0
"""Seconds; clients that do not know the heartbeat close a connection after 45 s without data."""
FAST_YAML = 4096
"""Characters of front matter that libyaml may read."""
REFUSED_VALUE = 100
"""Characters of a refused value that are shown."""
WISHES_SHOWN = 20
"""Refusals that are listed in the question whether to trust a folder."""

# Cooperative scheduling
ECHO_STEPS = 8192
"""Words, messages or characters that echo processes before other tasks run."""
BODY_PIECE = 128 * 1024
"""Bytes of a request's body that are processed before other tasks run."""
