"""Every fixed limit of the core, in one place; what an operator may change is a setting (config/settings.py)."""

# One answer on its way (answer/)
BUFFERED_FRAMES = 256
"""Frames that may wait for one client; then the plugin waits."""
BUFFERED_SIZE = 256 * 1024
"""The same, as a framing measures: bytes, or characters. One larger frame passes alone."""
ANSWER_RESERVE = 32 * 1024
"""Bytes of `server.max_buffered` that each answer under way has for itself: its part of the limit, whatever it sends."""
BUFFER_STEP = 32 * 1024
"""Bytes by which an answer's buffer grows up to BUFFERED_SIZE, if its client is slow and the process holds little."""
GENEROUS_PART = 0.25
"""The part of `server.max_buffered` up to which buffers grow: clients that do not read leave the rest to others."""
TURN_SIZE = 160
"""Bytes that a turn of a conversation takes beside its text: as it is decoded, and as a message for the provider."""
SMALL_SHARE = 128 * 1024
"""Bytes of a request and its answer up to which they may use all of `server.max_buffered`."""
LARGE_PART = 0.75
"""The part of it that larger ones may use: bodies of megabytes leave room for usual requests."""
WHOLE_ANSWER_LIMIT = 16 * 1024 * 1024
"""Bytes of the text of an answer that is sent in one piece. The longest that models say are below 1 MiB."""
STEPS_WITHOUT_PAUSE = 256
"""Tokens that a plugin may yield in a row before others get their turn; it may never await."""
CLEANUP_LIMIT = 2.0
"""Seconds that a plugin's clean-up gets before it is abandoned."""
FINISH_GRACE = 5.0
"""Seconds after the finish reason in which usage may still come, however often it comes."""
SIGNS_OF_LIFE = 5
"""How often tokens without text may reset the idle timer, until text comes again."""
LARGEST_NUMBER = 2**53 - 1
"""The largest count, and the longest `retry_after`: JavaScript holds no larger whole number exactly."""
RETRY_AFTER_LIMIT = 10.0
"""The longest `retry_after`, in seconds, that is waited for."""
RETRY_DELAY = 0.25
"""Seconds before the first retry of an unreachable provider; doubled for each further one."""

# Plugins and their instances (plugins/)
HOOK_TIMEOUT = 10.0
"""Seconds that a hook may take, `stream_chat` aside."""
MODEL_MEMORY = 30.0
"""Seconds for which a plugin's `default_model` is not asked again."""
CHOICE_TIMEOUT = 0.5
"""Seconds that providers get to name a model, where one must be chosen for agents that name none."""
OPENING_TIMEOUT = 5.0
"""Seconds that a client gets to open before that choice is made without it; it opens on. An SDK takes its time to be
imported on a busy machine, which does not tell who answers, and the choice holds until the end."""
SLOW_IMPORT = 2.0
"""Seconds that a plugin may take to be loaded before somebody is told: every command waits for it."""
PLUGIN_ERROR_LIMIT = 500
"""Characters of a quarantined plugin's error that are shown."""

# What people write (config/)
FILE_LIMIT = 1024 * 1024
"""Bytes of an agent's file, an aura.toml or another file that a person writes."""
FRONT_MATTER_LIMIT = 64 * 1024
"""Characters of an agent's front matter: reading YAML takes 30 µs for each."""
DOTS_LIMIT = 200
"""Dots in a line of an aura.toml: reading a key takes the square of its parts."""
JUST_WRITTEN = 2.5
"""Seconds in which a file may be written again and look the same: the coarsest clock of a file system has two."""

# HTTP (server/)
HEADER_LIMIT = 64 * 1024
"""Bytes of a request's line, headers and trailers."""
REQUEST_TIMEOUT = 30.0
"""Seconds that a client has to send a whole request, from its connection or from the request's first byte on."""
LINGER = 2.0
"""Seconds that the rest of a refused request is read and dropped: what is closed with bytes unread is reset, and the
answer is lost with it (RFC 9112, 9.6)."""
LINGER_SIZE = 16 * 1024 * 1024
"""Bytes that may come in this time."""
SEND_BUFFER = 128 * 1024
"""Bytes of a connection's send buffer; bounds the kernel's share of a stalled stream: 0.2 instead of 3.9 MB, no loss
of speed."""
BACKLOG = 2048
"""Connections that may wait to be accepted."""
LAST_EVENT_TIME = 1.0
"""Seconds that clients get to read `server_shutdown`."""
SAME_SIGNAL = 0.5
"""Seconds in which a second signal is the same one: a wrapper such as `uv run` passes on what the terminal has sent."""
FORCED_SHUTDOWN = 3
"""Seconds until uvicorn cancels what still runs after all answers have ended."""
RESTART_AFTER = 5.0
"""Seconds after which a server that shuts down may be back; what its refusals say in Retry-After."""
WORKER_RESTART_DELAY = 1.0
"""Seconds between the crash of a worker and the next one."""
RELOAD_DEBOUNCE = 200
"""Milliseconds that changes of files are collected; an editor writes a file in several steps."""
RELOAD_TIMEOUT = 1000
"""Milliseconds without a change after which the files are looked at all the same."""
RELOAD_PAUSE = 10.0
"""Seconds until watching begins anew after it failed."""

# The command (cli/)
THREADS_TIME = 0.5
"""Seconds that threads of plugins get to end when a command is over."""
AGENTS_SHOWN = 100
"""Agents that are listed when the server starts."""

# Clients in this process (client.py)
CONNECT_TIMEOUT = 10
"""Seconds that `aura chat --url` waits for a connection."""
REMOTE_ANSWER_LIMIT = 32 * 1024 * 1024
"""Bytes of a body, of one event and of all events together that `aura chat --url` takes."""
REMOTE_WORDS_LIMIT = 2000
"""Characters of another server's name or message that it shows."""

# What people read (telemetry/)
MESSAGE_LIMIT = 500
"""Characters of an upstream's or a plugin's words."""
LOG_QUEUE = 10_000
"""Log lines that may wait to be written; more are dropped and counted."""
LOG_FLUSH = 1.0
"""Seconds to write what is left of the log when the process ends."""

# Time (deadline.py)
TIMER_LATE = 0.01
"""Seconds after its time at which a timer shows that this process stood still."""
SECOND_LOOK = 0.25
"""Seconds that others get then before a limit is held against them."""

# Reading a provider's server (streams/)
DECODED_LIMIT = 64 * 1024 * 1024
"""Bytes that may come out of one coded body: far more than any answer, far less than a bomb."""
DECODED_PIECE = 64 * 1024
"""Bytes that are decoded before others get their turn."""
REASON_LENGTH = 4096
"""Characters of one text of an error that are looked at."""
REASON_DEPTH = 10
"""Levels of JSON, and of JSON inside strings, that are looked at for the reason of an error."""
REASON_VALUES = 400
"""Values that are looked at for the reason of an error."""
WORDS_LENGTH = 280
"""Characters of a server's words in a message; the whole of it is cut at MESSAGE_LIMIT, and the remedy stands last."""
SCRUBBED_LENGTH = 4096
"""Characters of a text that are looked at for keys, and given. An error's body may be megabytes long."""
KEY_PIECE = 6
"""A word that shares so many characters in a row with the key is taken for a part of it."""
LONGEST_WAIT = 24 * 3600.0
"""A server that says more seconds than a day has says nothing."""
COERCED_DEPTH = 8
"""Levels of an odd value that are looked at for text."""
UNKNOWN_WORDS = 1000
"""Unknown finish words that are logged; a server may make them up."""

# What people write (config/)
LONGEST_TIME = 366 * 86400.0
"""Seconds that a setting may name."""
HEARTBEAT_LIMIT = 30.0
"""Seconds; two heartbeats fit into the 45 s after which clients give up that are not told the heartbeat."""
FAST_YAML = 4096
"""Characters of front matter that libyaml may read."""
REFUSED_VALUE = 100
"""Characters of a refused value that are shown."""
WISHES_SHOWN = 20
"""Refusals that are listed before the question whether to trust a folder."""

# Turns for others
ECHO_STEPS = 8192
"""Words, messages or characters that echo looks at before others get their turn."""
BODY_PIECE = 128 * 1024
"""Bytes of a request's body that are looked at before others get their turn."""
