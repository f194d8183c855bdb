"""The table of causes, row by row: texts of at least three vendors for each, and the resulting code."""

import json
from typing import Any

import pytest

from aura_core.streams import CAUSES, Endpoint, Reason, Scrub, cause_of, failure, read_reason, status_error

MODEL = "tiny-7b"
SERVER = Endpoint("It", Scrub("sk-secret-0123456789"), "check the key", "is base_url right?", "its protocol", "Get it.")


def openai(message: str = "", code: Any = None, type_: Any = None, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code, **more}}


def google(message: str, status: str, code: int, *details: Any) -> list[Any]:
    return [{"error": {"code": code, "message": message, "status": status, "details": list(details)}}]


def anthropic(message: str, type_: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}


RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}
PER_DAY = {"@type": "google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}
GEMINI_QUOTA = "You exceeded your current quota, please check your plan and billing details."
GROQ_LARGE = (
    "Request too large for model `x` on tokens per minute (TPM): Limit 6000, Requested 13120, please reduce your"
    " message size and try again."
)

TABLE: dict[str, list[tuple[int, Any]]] = {
    "quota_exceeded": [
        (400, anthropic("Your credit balance is too low to access the Anthropic API.", "invalid_request_error")),
        (400, anthropic("You have reached your specified API usage limits.", "invalid_request_error")),
        (402, openai("Insufficient Balance", "invalid_request_error", "unknown_error")),
        (402, openai("This request requires more credits, or fewer max_tokens.", 402)),
        (402, {"title": "Payment Required", "status": 402, "detail": "Cloud credits expired"}),
        (402, b"<html>402</html>"),
        (403, {"code": 30001, "message": "Sorry, your account balance is insufficient", "data": None}),
        (403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance", "metadata": {}}),
        (403, {"code": "x", "error": "Your newly created team doesn't have any credits or licenses yet."}),
        (403, openai("The free tier of the model has been exhausted.", "AllocationQuota.FreeTierOnly")),
        (403, openai("该令牌额度已用尽", "insufficient_user_quota", "new_api_error")),
        (403, openai("The request failed because your account has an overdue balance.", "AccountOverdueError")),
        (400, openai("Access denied, please make sure your account is in good standing.", "Arrearage")),
        (412, openai("Account x is suspended, possibly due to reaching the monthly spending limit.", "PRECONDITION")),
        (429, openai("You exceeded your current quota, please check your plan.", "insufficient_quota")),
        (429, openai(GEMINI_QUOTA)),
        (429, google(GEMINI_QUOTA, "RESOURCE_EXHAUSTED", 429, PER_DAY, RETRY)),
        (429, openai("Your account org-x is suspended, please check", None, "exceeded_current_quota_error")),
        (429, openai("ExceededBudget: User over budget. Spend=10.2, Budget=10.0", "429", "budget_exceeded")),
        (429, {"errors": [{"message": "you have used up your daily free allocation", "code": 3036}], "result": {}}),
        (429, openai("Usage limit reached for 5 hour. Your limit will reset at 2025-09-25", "1308")),
        (429, {"message": "You are using a Trial key, which is limited to 1000 API calls / month."}),
        (429, {"error": "you've reached your hourly usage limit, please upgrade to continue"}),
        (429, {"error_code": 17, "error_msg": "Open api daily request limit reached"}),
        (403, {"message": "You have 5 credits left. This request requires 10 credits."}),
        (429, openai("Free allocated quota exceeded.", "Throttling.AllocationQuota")),
        (403, openai("预扣费额度失败, 用户剩余额度: 0", "pre_consume_token_quota_failed")),
        (400, {"error": {"type": "insufficient_balance_error", "message": "insufficient balance (1008)"}}),
        (429, b"ServiceQuotaExceededException: you have exceeded a quota"),
        (200, {"id": "", "choices": None, "base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}),
        (0, openai("x", "insufficient_quota")),
    ],
    "content_filtered": [
        (400, openai("Filtered.", "x", innererror={"code": "ResponsibleAIPolicyViolation"})),
        (400, openai("Content Exists Risk", "invalid_request_error", "invalid_request_error")),
        (400, openai("Input data may contain inappropriate content.", "data_inspection_failed")),
        (400, openai("The input text may contain sensitive information.", "InputTextSensitiveContentDetected")),
        (400, anthropic("Output blocked by content filtering policy", "invalid_request_error")),
        (400, openai("Your request was rejected as a result of our safety system.", "moderation_blocked")),
        (400, openai("litellm.ContentPolicyViolationError: AzureException", "400")),
        (403, openai("x/y requires moderation. Your input was flagged for z.", 403, metadata={"reasons": ["z"]})),
        (403, {"code": "No permission", "error": "Content violates usage guidelines. Failed check: SAFETY"}),
        (451, openai("The content you provided or machine outputted is blocked.", None, "censorship_blocked")),
        (400, openai("The request was rejected because it was considered high risk", None, "content_filter")),
        (400, {"error": {"type": "bad_request_error", "message": "input new_sensitive (1026)", "http_code": "400"}}),
        (451, b""),
        (0, {"base_resp": {"status_code": 1026, "status_msg": "input new_sensitive"}}),
        (500, openai("系统检测到输入内容可能包含不安全或敏感内容", "1301")),
    ],
    "model_not_found": [
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"}),
        (400, openai("x is not a valid model ID", 400)),
        (400, openai("Invalid model 'x'. Permitted models can be found in the documentation.", 400, "invalid_model")),
        (400, openai("The model `x` has been decommissioned and is no longer supported.", "model_decommissioned")),
        (400, {"detail": "[address=0.0.0.0:1] Model not found in the model list, uid: x"}),
        (400, {"object": "error", "message": "Only a && b allowed now, your model x", "code": 40301}),
        (400, {"code": 20012, "message": "Model does not exist. Please check it carefully.", "data": None}),
        (400, {"detail": "Server is pinned to a/b; requested x"}),
        (400, openai("No models loaded. Please load a model in the developer page.", "model_not_found")),
        (400, {"errors": [{"code": "x", "message": "Model 'x' is not supported for this environment"}]}),
        (404, openai("The model `x` has been deprecated, learn more here", "model_not_found")),
        (403, openai("Project `p` does not have access to model `x`", "model_not_found")),
        (404, openai("The model `x` does not exist or you do not have access to it.", "model_not_found")),
        (404, {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404}),
        (404, openai("Not found the model x or Permission denied", None, "resource_not_found_error")),
        (404, openai("Model not found, inaccessible, and/or not deployed", "NOT_FOUND")),
        (404, {"code": "Some requested entity was not found", "error": "The model x does not exist"}),
        (404, openai("The API deployment for this resource does not exist.", "DeploymentNotFound")),
        (404, anthropic(f"model: {MODEL}", "not_found_error")),
        (404, {"status": 404, "title": "Not Found", "detail": "Function 'x': Not found for account 'y'"}),
        (404, {"error": "model 'x' not found, try pulling it first"}),
        (400, openai("The model x is not available for your account")),
        (400, {"message": "The provided model identifier is invalid."}),
        (404, {"error": f"could not find real modelID for {MODEL}"}),
        (400, openai("Invalid model identifier \"x\". Please specify a valid downloaded model")),
        (404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"Endpoint with name '{MODEL}' does not exist."}),
        (404, openai("No endpoints found for x/y:free.", 404)),
        (422, openai("模型不存在，请检查模型代码", "1211")),
        (500, {"detail": "Model not found, uid: x"}),
        (503, openai("当前分组 default 下对于模型 x 无可用渠道", "model_not_found")),
        (0, {"errors": [{"message": "AiError: No such model @cf/x or task", "code": 5007}], "success": False}),
    ],
    "context_length": [
        (400, openai("This model's maximum context length is 65536 tokens. However, you requested", None)),
        (400, openai("the request exceeds the available context size", 400, "exceed_context_size_error")),
        (400, anthropic("input length and `max_tokens` exceed context limit: 189000 + 20000 > 200000", "x")),
        (400, google("The input token count (1048577) exceeds the maximum number of tokens allowed", "X", 400)),
        (400, {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081"}),
        (400, {"message": "Prompt contains 65673 tokens, too large for model with 32768 maximum context length"}),
        (400, {"error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."}),
        (400, openai("Invalid request: Your request exceeded model token limit: 8192", None, "invalid_request_error")),
        (400, openai("<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]")),
        (400, {"detail": "the rendered prompt is 5000 tokens; the model context is 4096"}),
        (400, {"object": "error", "message": "The input (5000 tokens) is longer than the model's context length."}),
        (400, {"code": 20015, "message": "length of prompt_tokens (40000) must be less than max_seq_len (32768)."}),
        (400, {"error": '{"error":{"code":400,"type":"exceed_context_size_error"}}'}),
        (413, anthropic("Request exceeds the maximum size", "request_too_large")),
        (413, openai(GROQ_LARGE, "rate_limit_exceeded", "tokens")),
        (413, openai("Request body too large for gpt-4o model. Max size: 8000 tokens.", "tokens_limit_reached")),
        (413, {"error": {"message": "Request Entity Too Large"}}),
        (400, openai("Input length 131393 exceeds the maximum allowed input length of 131040 tokens.")),
        (400, openai("Prompt tokens (9) exceeds context size (8)", None, "context_exceeded", n_ctx=8)),
        (400, openai("Prompt exceeds max length", "1261")),
        (400, openai("Request prompt has 5000 tokens in total, larger than the model input length limit 4096.")),
        (400, openai("Input length (5000 tokens) exceeds the maximum allowed length (4096 tokens).")),
        (500, openai("prompt length 5000 is over what is allowed and exceeds 4096")),
        (400, {"object": "error", "message": "max_tokens must be at least 1, got -500.", "code": 400}),
        (400, google("the input token count is 32825 but model only supports up to 32768.", "X", 400)),
        (422, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193. Given: 9121")),
        (422, {"error": "`inputs` must have less than 1024 tokens", "error_type": "validation"}),
        (429, openai(GROQ_LARGE, "rate_limit_exceeded", "tokens")),
        (500, openai("input is too large to process. increase the physical batch size", 500, "server_error")),
        (500, openai("litellm.ContextWindowExceededError: x", "500")),
        (0, {"error": "Reached context length of 4096 tokens with model, but it does not support overflow"}),
        (0, openai("Trying to keep the first 6119 tokens when context the overflows; context length of 4096")),
        (0, openai("Cannot truncate prompt with n_keep (5000) >= n_ctx (4096)")),
        (400, openai("输入内容超过模型的上下文长度", "1261")),
    ],
    "auth": [
        (400, google("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT", 400)),
        (400, google("API key expired. Please renew the API key.", "INVALID_ARGUMENT", 400)),
        (400, {"code": "Client specified an invalid argument", "error": "Incorrect API key provided: xa***yz."}),
        (400, openai("You must provide an API key.")),
        (400, openai("The api_key client option must be set")),
        (400, {"detail": "apiKey is missing"}),
        (401, {"message": "Unauthorized", "request_id": "x"}),
        (401, b'"Invalid token"'),
        (401, openai("Authentication Error, Invalid proxy server token passed", "401", "auth_error")),
        (401, openai("No auth credentials found", 401)),
        (401, b"<html>401</html>"),
        (403, openai("Country not supported", "unsupported_country_region_territory")),
        (403, {"error": {"code": 403, "message": "Permission denied", "status": "PERMISSION_DENIED"}}),
        (500, openai("litellm.AuthenticationError: OpenAIException - Incorrect API key provided", "500")),
        (0, openai("Incorrect API key provided: sk-abc", None)),
        (0, anthropic("invalid x-api-key", "authentication_error")),
        (200, {"base_resp": {"status_code": 2049, "status_msg": "invalid api key"}}),
    ],
    "rate_limited": [
        (429, openai("Rate limit reached for x on requests per min (RPM): Limit 3.", "rate_limit_exceeded")),
        (429, google(GEMINI_QUOTA, "RESOURCE_EXHAUSTED", 429, RETRY)),
        (429, openai(GEMINI_QUOTA + " Please retry in 47.434392449s.")),
        (429, openai("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 requests per day", 429)),
        (429, openai("Please add a payment method to your account to increase your rate limit.", "x")),
        (429, openai("Provider returned error", 429, metadata={"raw": "x is temporarily rate-limited upstream."})),
        (429, {"message": "Requests per minute limit exceeded", "code": "request_quota_exceeded", "param": "quota"}),
        (429, openai("Limit 30000 tokens, maximum context length 8192", "rate_limit_exceeded")),
        (429, {"message": "Too many tokens, please wait before trying again."}),
        (429, {"message": "Service tier capacity exceeded for this model.", "code": "3505"}),
        (429, {"error": "Model is overloaded", "error_type": "overloaded"}),
        (429, b"error code: 1015"),
        (400, openai("Request rate increased too quickly.", "limit_burst_rate")),
        (429, openai("You have exhausted your capacity on this model. Your quota will reset after 12h34m16s.")),
        (403, {"message": "API rate limit exceeded for user ID 1."}),
        (503, openai("Throttling.RateQuota: Requests rate limit exceeded, please try again later.", "Throttling")),
        (0, openai("wait", "rate_limit_error")),
        (0, openai("Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED")),
    ],
    "unavailable": [
        (500, openai("The server had an error while processing your request. Sorry about that!", None, "server_error")),
        (500, b"<html>Internal Server Error</html>"),
        (500, b"Internal Server Error"),
        (500, {"detail": "Internal Server Error"}),
        (500, anthropic("Internal server error", "api_error")),
        (502, b"<html>502 Bad Gateway</html>"),
        (503, openai("Loading model", 503, "unavailable_error")),
        (503, google("The model is overloaded. Please try again later.", "UNAVAILABLE", 503)),
        (503, b"upstream connect error or disconnect/reset before headers. reset reason: connection failure"),
        (503, {"detail": {"msg": "Server is busy; please try again later.", "type": "service_unavailable"}}),
        (504, b"stream timeout"),
        (520, b"error code: 520"),
        (522, b"<!DOCTYPE html><html>522</html>"),
        (524, b""),
        (529, anthropic("Overloaded", "overloaded_error")),
        (503, b"<html>503</html>"),
        (498, b""),
        (498, openai("Flex tier capacity exceeded", "capacity_exceeded")),
        (0, openai("x", "server_is_overloaded")),
        (0, openai("Upstream error", "502")),
        (0, anthropic("Overloaded", "overloaded_error")),
    ],
    "llm_error": [
        (500, {"error": "llama runner process has terminated: CUDA error: out of memory"}),
        (500, {"error": "unable to load model: /models/x"}),
        (500, {"error": "model runner has unexpectedly stopped, this may be due to resource limitations"}),
        (500, {"error": 'option "num_ctx" must be of type integer'}),
        (500, openai("could not load model: rpc error: code = Unknown desc = x", 500, "")),
        (500, openai("got an unexpected keyword argument 'foo'")),
        (400, {"error": 'Failed to load model "x". Error: Model loading was stopped'}),
        (500, openai("'NoneType' object has no attribute 'encode'", None, "InternalServerError")),
        (503, openai("Jinja Exception: Conversation roles must alternate")),
        (501, b""),
        (0, openai("The server had an error while processing your request.", None, "server_error")),
        (0, {"error": "an error was encountered while running the model"}),
        (0, openai("boom", 500)),
    ],
    "bad_request": [
        (400, openai("Unsupported parameter: 'max_tokens' is not supported with this model.", "unsupported_parameter")),
        (400, openai("max_tokens: integer above maximum value, expected a value <= 32768, but got 65536", "invalid")),
        (400, openai("'temperature' does not support 0.2 with this model. Only the default is supported.", "x")),
        (400, {"detail": [{"loc": ["body", "n"], "msg": "Extra inputs are not permitted"}]}),
        (404, b"404 page not found"),
        (404, {"detail": "Not Found"}),
        (404, {"error": {"code": "404", "message": "Resource not found"}}),
        (404, openai("No endpoints found that support tool use.", 404)),
        (404, openai("Invalid URL (POST /v1/chat)", None, "invalid_request_error")),
        (405, b"405 method not allowed"),
        (409, b""),
        (413, b"<html>413 Request Entity Too Large</html>"),
        (200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
        (0, openai("x", None, "invalid_request_error")),
    ],
    "timeout": [(408, b""), (408, b"<html>408</html>"), (408, openai("Request timed out", 408))],
}  # fmt: skip
CASES = [(code, status, said) for code, rows in TABLE.items() for status, said in rows]


def body(said: Any) -> bytes:
    return said if isinstance(said, bytes) else json.dumps(said).encode()


@pytest.mark.parametrize(("code", "status", "said"), CASES)
def test_texts_of_servers_get_their_code(code: str, status: int, said: Any) -> None:
    if status in (0, 200):
        found = failure(SERVER, read_reason(body(said)), MODEL)
    else:
        found = status_error(SERVER, status, {}, body(said), MODEL)
    assert found.code == code, found.message


@pytest.mark.parametrize(("code", "status", "said"), [case for case in CASES if not isinstance(case[2], bytes)])
def test_the_vendors_words_reach_the_message(code: str, status: int, said: Any) -> None:
    reason = read_reason(body(said))
    assert reason is not None
    found = failure(SERVER, reason, MODEL, status)
    scrubbed = SERVER.scrub(reason.words).rstrip(" .:;")
    assert scrubbed
    assert scrubbed[:200] in found.message


def test_every_row_of_the_table_decides_something() -> None:
    used = set()
    for _, status, said in CASES:
        used.add(id(cause_of(read_reason(body(said)) or Reason(), MODEL, 0 if status == 200 else status)))
    assert [cause for cause in CAUSES if id(cause) not in used] == []


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.code)
def test_phrases_are_normalized_like_the_texts(cause: Any) -> None:
    for phrase in cause.phrases:
        assert phrase == " ".join(phrase.lower().replace("_", " ").replace("-", " ").split())
    for code in cause.codes:
        assert code == code.lower()


def test_a_404_with_an_error_in_json_does_not_blame_the_address() -> None:
    for said in (openai("No endpoints found that support tool use."), anthropic("no such batch", "not_found_error")):
        assert "base_url" not in status_error(SERVER, 404, {}, body(said), MODEL).message


def test_a_status_inside_a_gateways_is_the_servers() -> None:
    said = openai("Provider returned error", 400)
    assert status_error(SERVER, 502, {}, body(said), MODEL).code == "bad_request"
