"""Faulty doors: the template of `aura new-plugin --door` with one mistake each, and the check that must detect it."""

from mutants import Mutant

DONE = 'return _line({"end": end.finish_reason, "tokens": end.usage.prompt + end.usage.completion})'
TEXT = 'return _line({"text": content})'
READ = "def read(body: AcmeRequest, parameters: Mapping[str, str]) -> Question:\n"
TURNS = (
    '    messages = [Message(message.role, message.text) for message in body.messages if message.role != "system"]\n'
)
LISTED = 'return _line({"agents": [{"id": agent.id, "name": agent.name} for agent in agents]})'

DOOR_MUTANTS = [
    Mutant("the hook has no route", "door-routes", [("Door([ask, agents], refuse)", "Door([], refuse)")]),
    Mutant(
        "the prompt is trimmed",
        "door-question",
        [(TURNS, TURNS.replace("message.text)", "message.text.strip())"))],
    ),
    Mutant("every request is streamed", "door-question", [("stream=body.stream)", "stream=True)")]),
    Mutant(
        "only the last turn is asked",
        "door-question",
        [("return Question(body.agent, messages,", "return Question(body.agent, messages[-1:],")],
    ),
    Mutant("blank text is lost", "door-text", [(TEXT, f'{TEXT} if content.strip() else b""')]),
    Mutant("text is not escaped", "door-text", [(TEXT, "return b'{\"text\":\"' + content.encode() + b'\"}\\n'")]),
    Mutant("a ping is read as text", "door-text", [(r'ping = b"\n"', 'ping = b\'{"text": "."}\\n\'')]),
    Mutant("reasoning is told as text", "door-reasoning", [('{"thinking": content}', '{"text": content}')]),
    Mutant("the limit is told as a complete answer", "door-end", [(DONE, 'return _line({"end": "stop"})')]),
    Mutant(
        "a failure is told as an end",
        "door-error",
        [('return _line({"error": failure.message, "code": failure.code})', 'return _line({"end": "stop"})')],
    ),
    Mutant(
        "a failure after some text says nothing",
        "door-error",
        [
            (TEXT, f"self.begun = True\n        {TEXT}"),
            (
                'return _line({"error": failure.message',
                'return b"" if hasattr(self, "begun") else _line({"error": failure.message',
            ),
        ],
    ),
    Mutant(
        "a whole answer is trimmed",
        "door-whole",
        [('{"text": answer.text, "end"', '{"text": answer.text.strip(), "end"')],
    ),
    Mutant(
        "texts are kept on the class",
        "door-separate",
        [
            (TEXT, f"self.said.append(content)\n        {TEXT}"),
            (
                '    content_type = "application/x-ndjson"\n',
                '    content_type = "application/x-ndjson"\n    said: list[str] = []\n',
            ),
            ('{"end": end.finish_reason, "tokens"', '{"end": end.finish_reason, "all": self.said, "tokens"'),
        ],
    ),
    Mutant(
        "turns are kept in a global",
        "door-separate",
        [
            (READ, f"KEPT: list[Message] = []\n\n\n{READ}"),
            ("return Question(body.agent, messages,", "KEPT[:] = messages\n    return Question(body.agent, KEPT,"),
        ],
    ),
    Mutant(
        "a refusal gives no reason",
        "door-refusals",
        [('{"error": problem.detail, "code"', '{"error": "refused", "code"')],
    ),
    Mutant("every refusal has one status", "door-refusals", [("Reply(problem.status,", "Reply(400,")]),
    Mutant(
        "a body is trusted",
        "door-bodies",
        [
            ("    messages: list[AcmeMessage]\n", "    messages: list[Any]\n"),
            (
                TURNS,
                '    turns = [each for each in body.messages if each["role"] != "system"]\n'
                '    messages = [Message(each["role"], each["text"]) for each in turns]\n',
            ),
            (
                'system = [message.text for message in body.messages if message.role == "system"]',
                'system = [each["text"] for each in body.messages if each["role"] == "system"]',
            ),
        ],
    ),
    Mutant("a list of no agents fails", "door-lists", [(LISTED, f"_ = agents[0]\n    {LISTED}")]),
    Mutant("the list names nobody", "door-lists", [(LISTED, 'return _line({"agents": len(agents)})')]),
]
