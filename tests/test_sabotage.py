"""Each guard is removed in turn in a copy of the code; then the test that is listed with it must fail."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
TIMEOUT = 300  # seconds; a longer run of a test counts as a hang
HANG = 15  # the same for tests that are expected to hang without their guard
RELAY, FAULTS = "tests/test_relay.py", "tests/faults/test_client_faults.py"
SECURITY = "tests/test_local_security.py"
FAILOVER = "tests/failover"


class Sabotage(NamedTuple):
    """In `file` the text `guard` is replaced by `gap`; then `test` fails, or `hangs`."""

    file: str
    guard: str
    gap: str
    test: str
    hangs: bool = False


SABOTAGES: dict[str, Sabotage] = {
    "no timer": Sabotage(
        "answer/relay.py",
        "self._watch_until(min(self._asking.deadline, self.started_at + _first_look(limits)))\n",
        "pass\n",
        f"{RELAY}::test_heartbeats_fill_the_silence_before_and_between_tokens",
    ),
    "no limits": Sabotage(
        "answer/relay.py", "self._check_provider(now, limits)\n", "pass\n", f"{RELAY}::test_limits[False-idle_timeout]"
    ),
    "no pause in a plugin that never awaits": Sabotage(
        "answer/asking.py",
        "await asyncio.sleep(0)",
        "pass",
        f"{RELAY}::test_a_plugin_that_never_awaits_does_not_block_others",
        hangs=True,
    ),
    "no bound on the buffer": Sabotage(
        "answer/frame_buffer.py",
        "call_soon(self._flush)\n        return len(self._frames) < BUFFERED_FRAMES and self._size < self._bound",
        "call_soon(self._flush)\n        return True",
        f"{RELAY}::test_a_bounded_buffer_keeps_backpressure",
    ),
    "no wait for a connection that is full": Sabotage(
        "answer/frame_buffer.py",
        "and not self.writing and",
        "and",
        f"{RELAY}::test_a_connection_that_is_full_is_waited_for",
    ),
    "a last event that nobody ends the response with": Sabotage(
        "answer/frame_buffer.py",
        "and not self.ended and self._sink is not None",
        "and self._sink is not None",
        "tests/test_wire.py::test_an_empty_folder_serves_the_documented_block",
        hangs=True,
    ),
    "no catch of SystemExit": Sabotage(
        "answer/asking.py",
        "except BaseException as exc:  # SystemExit",
        "except Exception as exc:  # SystemExit",
        f"{RELAY}::test_a_plugin_that_ends_with[SystemExit]",
    ),
    "no close of the iterator": Sabotage(
        "answer/asking.py",
        "await aclose()",
        "pass",
        f"{RELAY}::test_an_abandoned_iterator_is_closed_in_its_own_task",
    ),
    "no mending of surrogates": Sabotage(
        "answer/writer.py",
        "except UnicodeEncodeError:",
        "except ZeroDivisionError:",
        f"{RELAY}::test_half_a_surrogate_of_the_reasoning_does_not_reach_the_text",
    ),
    "no guard of the last event": Sabotage(
        "answer/relay.py",
        "if self._buffer.ended or self._left:\n            return\n        if self._asking.finish_reason is not None:"
        "  # nothing",
        "if self._asking.finish_reason is not None:  # nothing",
        f"{RELAY}::test_one_event_ends_an_answer_that_is_read_late",
    ),
    "failure after success": Sabotage(
        "answer/relay.py",
        "if self._asking.finish_reason is not None:  # nothing",
        "if False:  # nothing",
        f"{RELAY}::test_silence_after_the_finish_ends_in_done",
    ),
    "a fault after the finish": Sabotage(
        "answer/asking.py",
        "if self.finish_reason is not None:\n                self._owner.on_answer()",
        "if False:\n                self._owner.on_answer()",
        f"{RELAY}::test_retries_happen_only_before_the_first_token[after the finish]",
    ),
    "text after the finish": Sabotage(
        "answer/asking.py",
        "            if self.finish_reason is None:\n",
        "            if True:\n",
        f"{RELAY}::test_a_plugin_that_ends_with[text after the finish]",
    ),
    "no cancelling of the plugin": Sabotage(
        "answer/asking.py",
        "self.task.cancel()\n        self._reaper",
        "self._reaper",
        "tests/test_cancel.py::test_the_provider_does_not_wait_for_the_clean_up[after a token-True]",
    ),
    "a provider that waits for the plugin's clean-up": Sabotage(
        "hang_up.py",
        "if connection is None or connection.closed:",
        "if connection:",
        "tests/test_cancel.py::test_the_provider_does_not_wait_for_the_clean_up[after a token-True]",
    ),
    "a reader that wakes before it is cancelled": Sabotage(
        "streams/connections.py",
        "self._parser, self._eof = None, True\n",
        "pass\n",
        "tests/streams/test_prepared.py::test_whoever_reads_does_not_wake_when_its_client_has_left[without a length]",
    ),
    "a limit that passes after the client has left": Sabotage(
        "answer/relay.py",
        "if self._buffer.ended or self._left:",
        "if self._buffer.ended:",
        "tests/test_hang_up.py::test_nothing_that_comes_after_the_client_has_left_is_a_failure",
    ),
    "a clean-up that is cancelled": Sabotage(
        "streams/connections.py",
        "        if not (_waits(self) or _waits(self._payload)):\n            return False\n",
        "",
        "tests/streams/test_prepared.py::test_who_does_something_else_is_not_hung_up",
    ),
    "rests that wait forever": Sabotage(
        "server/departures.py",
        "if quiet or len(self._rests) > UNCLOSED:",
        "if quiet:",
        "tests/test_departures.py::test_who_comes_and_goes_without_end_holds_little",
    ),
    "rests that do not wait": Sabotage(
        "server/departures.py",
        "if quiet or",
        "if True or",
        "tests/test_departures.py::test_what_can_wait_is_done_when_all_others_have_left",
    ),
    "no limit on a clean-up": Sabotage(
        "answer/asking.py",
        "self._reaper = self._loop.call_later(CLEANUP_LIMIT, self._abandon)",
        "pass",
        f"{RELAY}::test_a_clean_up_that_hangs_is_abandoned_counted_and_logged",
    ),
    "a retry after something was said": Sabotage(
        "answer/asking.py",
        "self._retries or self._writer.begun",
        "self._retries",
        f"{RELAY}::test_retries_happen_only_before_the_first_token[after a token]",
    ),
    "a retry for every code": Sabotage(
        "answer/plugin_errors.py",
        'if failure.code not in ("unavailable", "rate_limited") or delay is None',
        "if delay is None",
        f"{RELAY}::test_retries_happen_only_before_the_first_token[another code with a time]",
    ),
    "a retry that waits too long": Sabotage(
        "answer/plugin_errors.py",
        " or delay > RETRY_AFTER_LIMIT",
        "",
        f"{RELAY}::test_retries_happen_only_before_the_first_token[limited, and not soon free]",
    ),
    "a retry beyond the limit": Sabotage(
        "answer/asking.py",
        "or self._now() + delay >= self.deadline",
        "",
        f"{RELAY}::test_no_retry_outlives_the_first_token_timeout",
    ),
    "another provider in the middle of an answer": Sabotage(
        "answer/relay.py",
        "if self._fallback is None or self._writer.begun:\n            self.fail(failure.code",
        "if self._fallback is None:\n            self.fail(failure.code",
        f"{FAILOVER}/test_faults.py::test_a_fault_at_the_primary[S08 cut in the middle: a part is a part-native]",
    ),
    "refused content for the next provider": Sabotage(
        "answer/fallback.py",
        " or self._failures[-1].code not in _NEXT",
        "",
        f"{FAILOVER}/test_faults.py::test_a_fault_at_the_primary[S13 refused content: the reason, nobody else-native]",
    ),
    "no rest after a failure": Sabotage(
        "answer/candidates.py",
        "if seconds <= 0:",
        "if True:",
        f"{FAILOVER}/test_faults.py::test_s15_an_outage_costs_few_probes_and_the_primary_comes_back",
    ),
    "every request is a probe": Sabotage(
        "answer/candidates.py",
        "if not rest.probed and",
        "if",
        f"{FAILOVER}/test_rests.py::test_one_request_probes_and_the_others_go_on_without",
    ),
    "a probe that nobody gives back": Sabotage(
        "answer/relay.py",
        "            self._fallback.left()\n",
        "            pass\n",
        f"{FAILOVER}/test_faults.py::test_a_client_that_leaves_frees_the_probe",
    ),
    "no write timeout": Sabotage(
        "answer/relay.py", "self._stuck()", "pass", "tests/test_cancel.py::test_a_reader_that_never_reads_is_cut_off"
    ),
    "no half of a pair counts": Sabotage(
        "answer/writer.py",
        "if not self.begun:  # from here",
        "if not self.begun and text.isprintable():  # from here",
        f"{RELAY}::test_a_plugin_that_ends_with[half a character and no finish]",
    ),
    "nobody notices a hang-up": Sabotage(
        "server/uvicorn_protocol.py",
        "self._on_leave = callback\n",
        "self._on_leave = None\n",
        "tests/test_cancel.py::test_a_disconnect_stops_the_generation[before the first token-close]",
    ),
    "no end of an answer that was left": Sabotage(
        "runtime.py",
        "        relay.close()\n",
        "        pass\n",
        f"{RELAY}::test_an_answer_that_is_over_leaves_nothing_behind",
    ),
    "no limit on streams": Sabotage(
        "runtime.py", "if len(self.relays) >= limit:", "if False:", "tests/test_refusals.py::test_too_many_streams"
    ),
    "no redaction": Sabotage(
        "runtime.py",
        "return redact.message(text, self.secrets)",
        "return text",
        f"{SECURITY}::test_a_key_is_in_no_error_and_no_log",
    ),
    "no check of Host": Sabotage(
        "server/guard.py",
        "if path not in NO_HOST_CHECK and not self._serves(host):",
        "if False:",
        f"{SECURITY}::test_dns_rebinding_ends_at_the_host_check[evil.example]",
    ),
    "no check of Origin": Sabotage(
        "server/guard.py",
        "if origin and origin not in self._origins and",
        "if False and",
        f"{SECURITY}::test_a_foreign_page_is_refused[https://evil.example]",
    ),
    "null is an origin like ours": Sabotage(
        "server/guard.py", "if origin and", 'if origin != "null" and', f"{SECURITY}::test_a_null_origin_is_foreign"
    ),
    "no token": Sabotage(
        "server/guard.py",
        "if path in PUBLIC or",
        "if True or",
        f"{SECURITY}::test_a_token_guards_all_but_health_and_the_page",
    ),
    "a comparison that tells": Sabotage(
        "clients.py",
        "if hmac.compare_digest(digest, known):",
        "if digest == known:",
        f"{SECURITY}::test_the_token_is_compared_in_constant_time",
    ),
    "a hidden agent that answers": Sabotage(
        "bindings.py",
        "if entry is None or not client.sees(entry.id):",
        "if entry is None:",
        "tests/test_clients.py::test_a_hidden_agent_is_like_one_that_does_not_exist[/api/agents/{}-None]",
    ),
    "a client that takes everything": Sabotage(
        "runtime.py",
        "if limit and self._held[client.name] >= limit:",
        "if False:",
        "tests/test_fairness.py::test_every_door_refuses_with_the_time_to_come_back[native stream]",
    ),
    "a provider without its limit": Sabotage(
        "plugins/instance.py",
        "return 0 < self.max_streams <= self.places",
        "return False",
        "tests/test_fairness.py::test_every_door_refuses_with_the_time_to_come_back[native stream]",
    ),
    "no check of the body's type": Sabotage(
        "server/request_body.py",
        'if declared != _JSON and declared.partition(b";")[0].strip().lower() != _JSON:',
        "if False:",
        f"{SECURITY}::test_a_cross_origin_post_without_preflight_is_refused[text/plain]",
    ),
    "no limit on headers": Sabotage(
        "limits.py",
        "HEADER_LIMIT = 64 * 1024",
        "HEADER_LIMIT = 10**9",
        f"{SECURITY}::test_a_header_has_a_limit[70000]",
    ),
    "no limit on a slow request": Sabotage(
        "server/uvicorn_protocol.py",
        "self._limit.set(REQUEST_TIMEOUT, self._give_up)",
        "pass",
        f"{FAULTS}::test_a_slow_client_does_not_keep_its_connection_forever[a head]",
    ),
    "pipelining": Sabotage(
        "server/uvicorn_protocol.py",
        'if self._answering:\n            raise httptools.HttpParserError("pipelined")',
        "if False:\n            pass",
        f"{FAULTS}::test_a_request_behind_one_that_is_not_answered_is_discarded",
    ),
    "an answer that nobody reads": Sabotage(
        "server/uvicorn_protocol.py",
        "self._expect_reading(math.inf)",
        "pass",
        f"{FAULTS}::test_a_whole_answer_that_nobody_reads_is_cut_off",
    ),
    "a log that others write": Sabotage(
        "telemetry/log_lines.py",
        'hide(printable_lines(super().format(record)), self._secrets()).replace("\\n", "\\n    ")',
        "super().format(record)",
        f"{SECURITY}::test_foreign_text_forges_no_log_line[TextFormatter]",
    ),
}


def _run(sabotage: Sabotage, folder: Path) -> tuple[int | None, str]:
    """Run the test against a copy with the gap. Return pytest's exit code (None if it hung) and its output."""
    shutil.copytree(ROOT / "aura_core", folder / "aura_core", ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "aura_core" / sabotage.file
    text = file.read_text(encoding="utf-8")
    assert text.count(sabotage.guard) == 1, f"{sabotage.file} holds it {text.count(sabotage.guard)} times; name it anew"
    file.write_text(text.replace(sabotage.guard, sabotage.gap), encoding="utf-8")
    # The copy precedes the installed package; no pytest plugin is needed except the built-in ones.
    environ = os.environ | {"PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}"]
    process = subprocess.Popen(
        [*command, sabotage.test],
        cwd=ROOT,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # also kills a server that the test has started
    )
    try:
        output, _ = process.communicate(timeout=HANG if sabotage.hangs else TIMEOUT)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        return None, output
    return process.returncode, output


Runs = Callable[[str], tuple[int | None, str]]


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run all selected ones, some at the same time; return the outcome of each."""
    mine = (item for item in request.session.items if isinstance(item, pytest.Function))
    asked = [
        str(item.callspec.params["name"]) for item in mine if item.function is test_without_this_guard_its_test_fails
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        started: dict[str, Future[tuple[int | None, str]]] = {
            name: pool.submit(_run, SABOTAGES[name], tmp_path_factory.mktemp("copy")) for name in asked
        }
        yield lambda name: started[name].result()
        pool.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", SABOTAGES)
def test_without_this_guard_its_test_fails(name: str, runs: Runs) -> None:
    code, output = runs(name)
    assert code == (None if SABOTAGES[name].hangs else 1), (
        f"{SABOTAGES[name].test} does not notice it (exit code {code}):\n{output[-2000:]}"
    )
