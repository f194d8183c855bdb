"""The table that says which of Aura's codes a server's failure becomes: by its words, in this order, then its status.

docs/providers.md explains it. A row matches by one of its codes, compared whole, or by one of its phrases, found in the
message or in a code. Phrases are in lower case, with spaces for `_` and `-` and between the words of CamelCase, so that
one phrase finds `insufficient_quota`, `InsufficientQuota` and "Insufficient quota"; "…" is up to 120 characters.
"""

import re

import msgspec

from aura_core.errors import Code
from aura_core.streams.reason import Reason

GAP = 120
IN_STREAM = 0
"""The status of an error that came inside a stream."""

_CLIENT = frozenset(range(400, 500))
_SERVER = frozenset(range(500, 600))
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORDLESS = {"", "not found", "resource not found", "method not allowed", "404 not found", "405 method not allowed"}


class Cause(msgspec.Struct, frozen=True):
    """One row. `statuses`: only with these; `never`: not with these. `patient`: not if the server says when to come
    back. `wordless`: only if the message is just "Not found". `named`: only if the message names the model.
    `remedy` tells apart messages of one code: an overloaded server from one that cannot be reached.
    """

    code: Code
    codes: frozenset[str] = frozenset()
    phrases: tuple[str, ...] = ()
    statuses: frozenset[int] | None = None
    never: frozenset[int] = frozenset()
    patient: bool = False
    wordless: bool = False
    named: bool = False
    remedy: str = ""


_429 = frozenset({429})

CAUSES: tuple[Cause, ...] = (
    # A model that cannot run: a retry would load gigabytes again, and the name is not wrong.
    Cause(
        "llm_error",
        phrases=(
            "error loading model", "unknown model architecture", "failed to load model", "unable to load model",
            "could not load model", "model failed to load", "out of memory", "cuda error",
            "requires more system memory", "process has terminated", "runner process no longer running",
            "runner has unexpectedly stopped", "the model has crashed",
        ),
        never=_429,
    ),
    # The content was refused: 400 and 403 of OpenAI, Azure, xAI, Zhipu, DeepSeek, DashScope, Volcengine, OpenRouter.
    Cause(
        "content_filtered",
        codes=frozenset({"invalid_prompt", "1301", "base_resp 1026", "base_resp 1027", "content_filter"}),
        phrases=(
            "content filter", "content policy", "content management policy", "responsible ai", "requires moderation",
            "moderation blocked", "blocked by moderation", "failed moderation", "flagged by…moderation",
            "input was flagged", "prompt was flagged", "request was flagged", "content was flagged",
            "message was flagged", "potentially violating", "violates usage", "violat…usage polic",
            "violat…usage guideline", "violat…our polic", "violat…guidelines", "violat…terms of", "safety check",
            "safety system", "safety filter", "blocked for safety", "due to safety", "safety reasons",
            "sensitive content", "sensitive information", "new sensitive", "inappropriate content", "unsafe content",
            "harmful content", "data inspection", "datainspection", "content exists risk", "content security",
            "prohibited content", "censorship", "guardrail", "considered high risk", "policy violation",
            "content is blocked", "prompt was blocked", "content was blocked", "敏感", "违规", "不安全",
        ),
    ),
    # One request that is too large, so that waiting does not help: OpenAI's and Groq's tokens per minute, GitHub.
    Cause(
        "context_length",
        codes=frozenset({"string_above_max_length", "1261", "base_resp 1039", "context_length_exceeded"}),
        phrases=(
            "request too large", "request is too large", "request body too large", "exceed context size",
            "context length exceeded", "context window exceeded", "prompt is too long", "prompt too long",
            "tokens limit reached", "max prompt tokens exceeded", "reduce the length of", "reduce your message size",
            "reduce your prompt", "request exceeds the maximum size", "context exceeded", "context overflow",
            "exceeds max length",
        ),
    ),
    # No credit, or a limit on spending: 400, 402, 403, 429, even if they name a waiting time.
    Cause(
        "quota_exceeded",
        codes=frozenset({"1113", "1304", "1308", "1309", "1310", "base_resp 1008", "base_resp 2056", "quota_exceeded"}),
        phrases=(
            "insufficient quota", "insufficient balance", "insufficient account balance", "insufficient credit",
            "insufficient fund", "insufficient user quota", "credits left", "balance is too low", "trial…expired",
            "trial…ended", "balance is insufficient", "balance is not enough", "balance insufficient",
            "not enough balance", "not enough credit", "credit balance", "out of credit", "no credit",
            "no remaining credit", "account balance", "free allocated quota", "no quota", "预扣费额度失败",
            "额度…不足", "requires more credit", "any credits", "available credits", "used up", "credits…depleted",
            "credits…exhausted", "credits…expired", "credit limit", "included credits", "purchase credits",
            "purchase more credits", "buy credits", "buy more credits", "spending limit", "spend limit",
            "spending cap", "key limit exceeded", "budget exceeded", "budget has been exceeded", "exceeded…budget",
            "over budget", "max budget", "billing hard limit", "billing not active", "billing error", "billing issue",
            "payment required", "past due", "overdue", "arrear", "unpaid", "recharge", "add balance", "top up",
            "usage limit", "usage quota", "weekly limit", "monthly limit", "free allocation", "free tier only",
            "free tier…exhausted", "exceeded current quota error", "token quota failed", "per day per project",
            "limit: 0,", "/ month", "per month", "extra usage is required", "usage credits are required",
            "余额不足", "欠费", "额度不足", "额度已用", "无可用额度", "用量上限",
            "使用上限",
        ),
        never=frozenset({404}),
    ),
    # A rate limit, with any status.
    Cause(
        "rate_limited",
        codes=frozenset({"tokens", "requests", "1302", "1303", "1305", "base_resp 1002"}),
        phrases=(
            "rate limit", "ratelimit", "too many requests", "requests per minute", "tokens per min",
            "per minute limit", "throttl", "slow down", "rate increase", "parallel request limit", "concurrency limit",
            "too many concurrent", "request rate", "频率", "限流", "并发", "请求过于频繁", "请求过多",
        ),
        never=frozenset({401, 404}),
    ),
    # "You exceeded your current quota": with OpenAI the account is empty; Gemini means this minute and names a wait.
    Cause(
        "quota_exceeded",
        phrases=(
            "exceeded your current quota", "exhausted your", "daily limit", "daily quota", "daily request limit",
            "quota exceeded", "exceeded…quota", "plan and billing", "billing details", "quota exhausted",
            "quota has been exhausted", "quota is exhausted", "payment method", "limit exhausted",
        ),
        statuses=frozenset({IN_STREAM, *range(400, 404), 412, 429, *_SERVER}),
        patient=True,
    ),
    Cause("rate_limited", phrases=("resource exhausted",), statuses=frozenset({IN_STREAM})),
    # No such model, deployment or endpoint of one: 400, 403, 404, 422 and 500.
    Cause(
        "model_not_found",
        codes=frozenset({"1211", "5007", "20012", "invalid_model", "model_not_found", "unknown_model", "40301"}),
        phrases=(
            "model not found", "model not exist", "model…not exist", "model…doesn't exist", "model…not found",
            "model…could not be found", "not found the model", "no such model", "unknown model", "invalid model name",
            "invalid model id", "invalid model:", "invalid model '", "invalid model \"", "invalid model `",
            "invalid model requested", "not a valid model", "not valid model", "model name…invalid",
            "cannot find model", "can't find model", "could not find model", "couldn't find model",
            "could not find the model", "unable to access model", "unable to access non serverless model",
            "unavailable model", "model…decommissioned", "model…no longer available", "model…been retired",
            "model…has been deprecated", "model…is deprecated", "access to model", "access to the model",
            "model not open", "model not available", "model not supported", "model is not supported",
            "model…is not supported by", "model…is not supported for this environment", "unsupported model",
            "not a supported model", "model not loaded", "model is not loaded", "no models loaded", "no model loaded",
            "no model is loaded", "server is pinned to", "only…allowed now, your model", "no endpoints found for",
            "no allowed providers", "no deployments available for…model", "deployment not found",
            "deployment…not exist", "deployment…not found", "no such deployment", "not deployed", "try pulling it",
            "real model id", "no router for", "model identifier is invalid", "endpoint or model…not found",
            "entity was not found", "function…not found for account", "模型不存在", "模型…不存在", "无可用渠道",
            "未找到模型",
        ),
        never=_429,
    ),
    # The prompt does not fit. Rate limits mention the context as well, but with 429.
    Cause(
        "context_length",
        codes=frozenset({"40303", "5021", "20015"}),
        phrases=(
            "maximum context", "max context", "context size", "context window", "context length", "context limit",
            "model context is", "max model len", "maximum model length", "max seq len", "maximum sequence length",
            "maximum input length", "max input length", "allowed input length", "maximum allowed length",
            "input length limit", "max input tokens", "maximum input tokens", "token limit exceeded",
            "max tokens must be at least 1, got", "maximum prompt length", "model token limit",
            "number of tokens allowed", "n ctx", "input is too long", "input too long", "inputs too long",
            "input is too large to process", "prompt is too large", "too many tokens", "too many input tokens",
            "tokens…too large for model", "input tokens exceed", "input token count", "range of input length",
            "`inputs` tokens +", "`inputs` must have less", "length of prompt tokens", "input length and `max",
            "prompt token count", "longer than the model", "physical batch size", "conversation is too long", "上下文",
            "超长", "超过最大长度",
        ),
        never=_429,
    ),
    Cause("context_length", phrases=("too large", "too long"), statuses=frozenset({413})),
    Cause(
        "context_length",
        phrases=(
            "prompt…exceed", "prompt…too long", "prompt…too large", "prompt…larger than", "prompt…longer than",
            "input…tokens…exceed", "input length…exceed", "messages…too long",
        ),
        statuses=frozenset({IN_STREAM, 400, 413, 422, 500}),
    ),
    Cause(
        "model_not_found",
        phrases=(
            "invalid model", "model…is not available", "is not available. please use", "model…not supported by",
        ),
        statuses=frozenset({400, 404, 422}),
    ),
    # The key. Some servers refuse it with 400; a gateway whose own key is wrong sends 500.
    Cause(
        "auth",
        codes=frozenset({"base_resp 1004", "base_resp 2049"}),
        phrases=(
            "invalid api key", "incorrect api key", "wrong api key", "api key not valid", "api key is invalid",
            "api key is not valid", "api key expired", "api key has expired", "api key…expired", "no api key",
            "missing api key", "api key is missing", "api key required", "api key is required", "api key not found",
            "invalid apikey", "invalid x api key", "invalid authentication", "invalid credential", "invalid api token",
            "authentication error", "authentication fail", "unauthorized", "unauthenticated", "not authenticated",
            "no auth credentials", "bad credentials", "auth error", "账号不存在", "令牌", "密钥",
        ),
        never=_429,
    ),
    Cause("auth", phrases=("api key", "apikey"), statuses=frozenset({IN_STREAM, 400})),
    Cause(
        "auth",
        phrases=(
            "permission denied", "permission error", "access denied", "does not have permission",
            "organization has been disabled",
        ),
        statuses=frozenset({IN_STREAM, 400, 401, 403, 404}),
    ),
    # Another attempt may succeed. A rate limit (429) is not one of these.
    Cause(
        "unavailable",
        phrases=(
            "loading model", "model is loading", "currently loading", "still loading", "being loaded", "warming up",
        ),
        never=_429,
        remedy="loading",
    ),
    Cause("unavailable", phrases=("no healthy upstream", "upstream connect error"), never=_429),
    Cause(
        "unavailable",
        phrases=(
            "overloaded", "server busy", "server is busy", "too busy", "service unavailable", "unavailable error",
            "high demand", "high traffic", "high load", "at capacity", "over capacity", "capacity…exceeded",
            "temporarily unavailable", "queue is full", "pending requests",
        ),
        never=_429,
        remedy="overloaded",
    ),
    Cause(
        "bad_request",
        phrases=(
            "unexpected endpoint", "unknown endpoint", "invalid url", "unknown request url", "no route", "cannot post",
            "route not found", "path not found", "no handler", "page not found", "file not found",
        ),
        remedy="address",
    ),
    # Then by the status.
    Cause("quota_exceeded", statuses=frozenset({402})),
    Cause("auth", statuses=frozenset({401, 403, 407})),
    Cause("timeout", statuses=frozenset({408})),
    Cause("rate_limited", statuses=_429),
    Cause("content_filtered", statuses=frozenset({451})),
    Cause("unavailable", statuses=frozenset({498}), remedy="overloaded"),  # Groq: no room in the flexible tier
    Cause("model_not_found", statuses=frozenset({404}), named=True),
    Cause("bad_request", statuses=frozenset({404, 405}), wordless=True, remedy="address"),
    Cause("bad_request", statuses=_CLIENT),
    # Of the server's own faults those that the next attempt meets again.
    Cause(
        "llm_error",
        phrases=(
            "not implemented", "unsupported", "not supported", "not support", "unexpected keyword", "must be",
            "is required", "missing required", "missing parameter", "invalid request", "invalid argument",
            "invalid parameter", "invalid value", "invalid option", "invalid type", "invalid format", "bad request",
            "badrequest", "unknown parameter", "unknown field", "unknown option", "unrecognized", "validation",
            "type error", "typeerror", "value error", "key error", "attribute error", "assertion error", "jinja",
            "has no attribute", "not subscriptable", "not iterable", "out of range", "index error", "chat template",
            "no such file", "not enough memory", "insufficient memory", "cudnn", "cublas", "segmentation fault",
            "corrupt", "does not support", "doesn't support", "disabled", "misconfigur",
        ),
        statuses=_SERVER,
    ),
    Cause("unavailable", statuses=frozenset({503, 529}), remedy="overloaded"),
    Cause("unavailable", statuses=frozenset({500}), remedy="internal"),
    Cause("unavailable", statuses=frozenset({502, 504, *range(520, 525)})),
    Cause("llm_error", statuses=_SERVER),
    # An error in the stream without a status.
    Cause(
        "bad_request",
        phrases=(
            "invalid request error", "bad request", "badrequest", "unsupported parameter", "unsupported value",
            "invalid parameter", "invalid argument", "validation error",
        ),
        statuses=frozenset({IN_STREAM}),
    ),
    Cause("llm_error"),
)  # fmt: skip


def cause_of(reason: Reason, model: str, status: int) -> Cause:
    """The row that matches a failure. `status` is that of the response, or IN_STREAM."""
    if not status:
        status = reason.status if reason.status != 500 else IN_STREAM  # DESIGN 2: an error inside the stream
    elif status >= 500 and 400 <= reason.status < 500:
        status = reason.status  # a gateway's own status around that of the server
    text = plain(reason)
    named = len(model) > 2 and model.lower() in reason.message.lower()
    wordless = reason.message.strip(" .!").lower() in _WORDLESS
    codes = {code.lower() for code in reason.codes}
    for cause in CAUSES:
        if status in cause.never or (cause.statuses is not None and status not in cause.statuses):
            continue
        if (cause.patient and reason.wait is not None) or (cause.named and not named):
            continue
        if cause.wordless and not wordless:
            continue
        if not (cause.codes or cause.phrases) or _says(cause, codes, text):
            return cause
    raise AssertionError("the last row matches everything")


def plain(reason: Reason) -> str:
    """The words of a reason, as phrases are written; without addresses, whose words would match by accident."""
    text = " ".join((reason.message, *reason.codes, reason.param))[:8192]
    text = _CAMEL.sub(" ", " ".join(word for word in text.split() if "://" not in word)).lower()
    return " ".join(text.replace("_", " ").replace("-", " ").split())


def _says(cause: Cause, codes: set[str], text: str) -> bool:
    return not cause.codes.isdisjoint(codes) or any(_found(phrase, text) for phrase in cause.phrases)


def _found(phrase: str, text: str) -> bool:
    first, *others = phrase.split("…")
    at = text.find(first)
    for part in others:
        if at < 0:
            break
        at = text.find(part, at, at + GAP)
    return at >= 0
