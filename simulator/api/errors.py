"""Z.AI's errors: the business codes with their HTTP statuses and texts, and every envelope that carries them. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from simulator.scenario.model import Envelope

_STATUS_OF_TYPE = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}


@dataclass(frozen=True, slots=True)
class BusinessError:
    """One row of the code table; `text` may hold {reset} or {field}."""

    status: int
    text: str


CODES: dict[str, BusinessError] = {
    "401": BusinessError(401, "token expired or incorrect"),
    "1000": BusinessError(401, "Authentication Failed"),
    "1001": BusinessError(401, "Authentication parameter not received in Header, unable to authenticate"),
    "1002": BusinessError(401, "Invalid Authentication Token, please confirm the correct transmission"),
    "1003": BusinessError(401, "Authentication Token expired, please regenerate/obtain"),
    "1004": BusinessError(401, "Authentication failed with the provided Authentication Token"),
    "1005": BusinessError(401, "Authentication Token is no longer valid"),
    "1110": BusinessError(403, "Your account is currently inactive. Please check your account information"),
    "1111": BusinessError(403, "Your account does not exist"),
    "1112": BusinessError(403, "Your account has been locked, please contact customer service to unlock"),
    "1113": BusinessError(429, "Insufficient balance or no resource package. Please recharge."),
    "1120": BusinessError(500, "Unable to successfully access your account, please try again later"),
    "1121": BusinessError(403, "Account has irregular activities and has been locked"),
    "1200": BusinessError(500, "API call error"),
    "1210": BusinessError(400, "Invalid API parameter, please check the documentation."),
    "1211": BusinessError(400, "Unknown Model, please check the model code."),
    "1212": BusinessError(400, "The current model does not support this call method"),
    "1213": BusinessError(400, "The {field} parameter was not received properly."),
    "1214": BusinessError(400, "The {field} parameter is invalid. Please check the documentation."),
    "1215": BusinessError(400, "These parameters cannot be set at the same time, please check the documentation."),
    "1220": BusinessError(403, "You do not have permission to access this API"),
    "1221": BusinessError(400, "API has been taken offline"),
    "1222": BusinessError(400, "API does not exist"),
    "1230": BusinessError(500, "API call process error"),
    "1234": BusinessError(500, "Internal network failure, error id: {request_id}, please contact customer service"),
    "1261": BusinessError(400, "Prompt too long"),
    "1301": BusinessError(400, "System detected potentially unsafe or sensitive content in input or generation."),
    "1302": BusinessError(429, "Rate limit reached for requests"),
    "1303": BusinessError(429, "Your call frequency is too high, please slow down"),
    "1304": BusinessError(429, "This API has reached its daily call limit, please call again tomorrow"),
    "1305": BusinessError(429, "The service may be temporarily overloaded, please try again later"),
    "1308": BusinessError(429, "Usage limit reached for 5 hour. Your limit will reset at {reset}"),
    "1309": BusinessError(429, "Your GLM Coding Plan package has expired and is temporarily unavailable."),
    "1310": BusinessError(429, "Weekly/Monthly Limit Exhausted. Your limit will reset at {reset}"),
    "1311": BusinessError(429, "Your current subscription plan does not yet include access to this model"),
    "1312": BusinessError(429, "This model is currently under heavy load, please try again later or use another"),
    "1313": BusinessError(429, "Your usage does not comply with the Fair Use Policy; requests are restricted"),
    "1314": BusinessError(429, "The enterprise package has reached its limit"),
    "1315": BusinessError(429, "The member's limit within the enterprise package is reached"),
    "1316": BusinessError(429, "5-hour limit reached and no balance for overage. Your limit will reset at {reset}"),
    "1317": BusinessError(429, "7-day limit reached and no balance for overage. Your limit will reset at {reset}"),
    "1318": BusinessError(429, "The sub-account's daily cap is reached"),
    "1319": BusinessError(429, "The sub-account's weekly cap is reached"),
    "1320": BusinessError(429, "The sub-account's monthly cap is reached"),
    "1321": BusinessError(429, "The sub-account's total cap is reached"),
    "3008": BusinessError(429, "Start Plan: too many concurrent requests"),
    "3009": BusinessError(429, "Start Plan: too many requests"),
    "3010": BusinessError(429, "Start Plan: the service is busy"),
    "435": BusinessError(400, "The file exceeds the size limit of 100 MB"),
    "500": BusinessError(500, "Internal server error"),
    "2007": BusinessError(500, "upstream temporarily unavailable"),
}

_UNKNOWN = BusinessError(400, "Request failed")


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An error as it goes out: `body` is JSON, HTML or plain text, as `content_type` says."""

    status: int
    content_type: str
    body: str


def status_of(code: str, *, anthropic: bool) -> int:
    """The HTTP status that Z.AI sends with a business code; overload is a 529 on the Anthropic surface alone."""
    if code == "1305" and anthropic:
        return 529
    return CODES.get(code, _UNKNOWN).status


def text_of(code: str, *, request_id: str, reset: str, field: str) -> str:
    """The English text of a business code, its gaps filled in."""
    text = CODES.get(code, _UNKNOWN).text
    return text.format(request_id=request_id, reset=reset, field=field)


def error_type(status: int) -> str:
    """Anthropic's error type for an HTTP status."""
    return _STATUS_OF_TYPE.get(status, "api_error" if status >= 500 or status < 400 else "invalid_request_error")


def error_answer(envelope: Envelope, *, status: int, code: str, text: str, request_id: str) -> ErrorAnswer:
    """The error in the given envelope. `text` is the bare message, without code and request id."""
    if envelope is Envelope.HTML:
        return ErrorAnswer(status, "text/html", html_page(status))
    if envelope is Envelope.BRACKET:
        return ErrorAnswer(status, "text/plain; charset=utf-8", bracketed(code, text, request_id))
    body = _json_body(envelope, status, code, text, request_id)
    return ErrorAnswer(status, "application/json; charset=utf-8", json.dumps(body, ensure_ascii=False))


def bracketed(code: str, text: str, request_id: str) -> str:
    return f"[{code}][{text}][{request_id}]"


def _json_body(envelope: Envelope, status: int, code: str, text: str, request_id: str) -> dict[str, object]:
    match envelope:
        case Envelope.ANTHROPIC:
            kind = "overloaded_error" if code == "1305" else error_type(CODES[code].status if code in CODES else status)
            error = {"type": kind, "code": code, "message": bracketed(code, text, request_id)}
            return {"type": "error", "error": error, "request_id": request_id}
        case Envelope.ANTHROPIC_TYPE:
            return {"type": "error", "error": {"type": code, "message": text}}
        case Envelope.ANTHROPIC_SHORT:
            return {"error": {"message": text, "type": code}}
        case Envelope.ANTHROPIC_OLD:
            return {"error": {"code": code, "message": text}, "request_id": request_id}
        case Envelope.GATEWAY:
            return {"code": int(code), "msg": text, "success": False}
        case Envelope.GATEWAY_SHORT:
            return {"code": int(code), "msg": text}
        case Envelope.RESPONSE_FAILED:
            error = {"code": _word(code), "message": bracketed(code, text, request_id)}
            response = {"id": f"resp_{request_id}", "object": "response", "status": "failed", "error": error}
            return {"type": "response.failed", "response": {**response, "usage": None}}
        case Envelope.MONITOR:
            return {"code": int(code), "msg": text, "data": None, "success": False}
        case _:
            return {"error": {"code": code, "message": text}}


def _word(code: str) -> str:
    """OpenAI's word for a business code."""
    if code == "1305":
        return "server_is_overloaded"
    return "rate_limit_exceeded" if CODES.get(code, _UNKNOWN).status == 429 else "server_error"


_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Not Allowed",
    413: "Request Entity Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Temporarily Unavailable",
    504: "Gateway Time-out",
}


def html_page(status: int) -> str:
    """A page as nginx (or, for 405, the WAF in front of it) sends it."""
    title = f"{status} {_REASONS.get(status, 'Error')}"
    if status == 405:
        return (
            "<!doctype html>\n<html><head><title>405</title></head><body><div>Sorry, your request has been blocked as"
            " it may cause potential threats to the server's security.</div></body></html>\n"
        )
    return (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n"
        "<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    )
