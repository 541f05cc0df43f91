"""Messages of every family come out as OpenAI's."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ark_broker.receive.conventions.messages import as_messages, system_message, text_of, unflatten

USER = {"role": "user", "content": "What is the weather in Paris?"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "content": "rainy", "tool_call_id": "call_1"}
ANSWER = {"role": "assistant", "content": "It rains."}
ARGUMENTS = {"city": "Paris"}


def langchain(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": kwargs}


CONVERSATIONS: dict[str, Any] = {
    "OpenAI messages": [USER, CALLING, TOLD, ANSWER],
    "OpenTelemetry GenAI": [
        {"role": "user", "parts": [{"type": "text", "content": USER["content"]}]},
        {
            "role": "assistant",
            "parts": [{"type": "tool_call", "id": "call_1", "name": "weather", "arguments": ARGUMENTS}],
        },
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call_1", "response": "rainy"}]},
        {"role": "assistant", "parts": [{"type": "text", "content": "It rains."}]},
    ],
    "bodies of the older GenAI events": [
        {"content": USER["content"]},
        {"tool_calls": [CALL]},
        {"content": "rainy", "id": "call_1"},
        {"index": 0, "message": {"content": "It rains."}},
    ],
    "older GenAI events as Logfire lists them": [
        {"event.name": "gen_ai.user.message", "content": USER["content"]},
        {"event.name": "gen_ai.assistant.message", "role": "assistant", "tool_calls": [CALL]},
        {"event.name": "gen_ai.tool.message", "role": "tool", "id": "call_1", "content": "rainy"},
        {"event.name": "gen_ai.choice", "index": 0, "message": {"role": "assistant", "content": "It rains."}},
    ],
    "Langfuse": {"messages": [USER, CALLING, TOLD, ANSWER], "tools": [{"type": "function", "function": {}}]},
    "Vercel AI SDK 4": [
        {"role": "user", "content": [{"type": "text", "text": USER["content"]}]},
        {
            "role": "assistant",
            "content": [{"type": "tool-call", "toolCallId": "call_1", "toolName": "weather", "args": ARGUMENTS}],
        },
        {"role": "tool", "content": [{"type": "tool-result", "toolCallId": "call_1", "result": "rainy"}]},
        ANSWER,
    ],
    "Vercel AI SDK 5": {
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": [{"type": "tool-call", "toolCallId": "call_1", "toolName": "weather", "input": ARGUMENTS}],
            },
            {
                "role": "tool",
                "content": [
                    {"type": "tool-result", "toolCallId": "call_1", "output": {"type": "text", "value": "rainy"}}
                ],
            },
            ANSWER,
        ]
    },
    "LangChain, serialised": [
        [
            langchain("HumanMessage", content=USER["content"], type="human"),
            langchain("AIMessage", content="", tool_calls=[{"name": "weather", "args": ARGUMENTS, "id": "call_1"}]),
            langchain("ToolMessage", content="rainy", tool_call_id="call_1", status="success"),
            langchain("AIMessageChunk", content="It rains."),
        ]
    ],
    "LangChain, dumped": [
        {"type": "human", "content": USER["content"], "additional_kwargs": {}},
        {
            "type": "ai",
            "content": "",
            "tool_calls": [{"name": "weather", "args": ARGUMENTS, "id": "call_1", "type": "tool_call"}],
        },
        {"type": "tool", "content": "rainy", "tool_call_id": "call_1", "id": "another"},
        {"type": "ai", "data": {"content": "It rains."}},
    ],
    "Anthropic": {
        "model": "claude",
        "messages": [
            USER,
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": ARGUMENTS}],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "call_1", "content": [{"type": "text", "text": "rainy"}]}
                ],
            },
            ANSWER,
        ],
    },
    "OpenAI Responses": {
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": USER["content"]}]},
            {
                "type": "function_call",
                "id": "fc_1",
                "call_id": "call_1",
                "name": "weather",
                "arguments": '{"city":"Paris"}',
            },
            {"type": "function_call_output", "call_id": "call_1", "output": "rainy"},
            {
                "type": "message",
                "id": "msg",
                "role": "assistant",
                "content": [{"type": "output_text", "text": "It rains."}],
            },
        ]
    },
    "A2A and OpenAI mixed": [
        {"kind": "message", "role": "user", "parts": [{"kind": "text", "text": USER["content"]}], "messageId": "m"},
        CALLING,
        TOLD,
        {"role": "ROLE_AGENT", "parts": [{"text": "It rains."}], "messageId": "n"},
    ],
}


@pytest.mark.parametrize("family", CONVERSATIONS)
@pytest.mark.parametrize("written", [copy.deepcopy, json.dumps], ids=["structured", "JSON text"])
def test_a_conversation_comes_out_the_same_whoever_wrote_it(family: str, written: Any) -> None:
    found = as_messages(written(CONVERSATIONS[family]), role="user")
    plain = [{**message, "content": text_of([message]) or None} for message in found]
    assert plain == [USER, CALLING, TOLD, ANSWER]


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ({"role": "ROLE_USER", "parts": [{"text": "hi"}]}, {"role": "user", "content": "hi"}),
        ({"role": "agent", "parts": [{"kind": "text", "text": "hi"}]}, {"role": "assistant", "content": "hi"}),
        ({"role": "model", "parts": [{"text": "hi"}]}, {"role": "assistant", "content": "hi"}),
        ({"role": "developer", "content": "hi"}, {"role": "developer", "content": "hi"}),
        ({"role": "critic", "content": "hi"}, {"role": "critic", "content": "hi"}),
        ({"role": "user", "name": "Ann", "content": "hi"}, {"role": "user", "content": "hi", "name": "Ann"}),
        ({"role": "assistant"}, {"role": "assistant", "content": None}),
        ({"role": "user", "text": "hi"}, {"role": "user", "content": "hi"}),
        (langchain("ChatMessage", role="critic", content="hi"), {"role": "critic", "content": "hi"}),
        ({"content": "hi"}, {"role": "user", "content": "hi"}),
        ({"parts": [{"type": "text", "content": "hi"}]}, {"role": "user", "content": "hi"}),
        ({"content": None}, {"role": "user", "content": None}),
        (
            {"role": "function", "name": "weather", "content": "rainy"},
            {"role": "tool", "content": "rainy", "name": "weather"},
        ),
        ({"role": "tool", "tool_call_id": "call_1", "content": {"temp": 5}}, TOLD | {"content": '{"temp":5}'}),
        ({"role": "user", "content": 5}, {"role": "user", "content": "5"}),
        ({"role": "user", "content": {"type": "text", "text": "hi"}}, {"role": "user", "content": "hi"}),
        (
            {"role": "assistant", "content": None, "refusal": "no"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        ),
    ],
)
def test_a_message_alone(written: dict[str, Any], found: dict[str, Any]) -> None:
    assert as_messages(written, role="user") == [found]


def test_a_refusal_is_a_part_beside_what_was_said() -> None:
    refusal = {"type": "refusal", "refusal": "no"}
    for content in ("Well.", [{"type": "text", "text": "Well."}]):
        (message,) = as_messages({"role": "assistant", "content": content, "refusal": "no"}, role="assistant")
        assert message["content"] == [{"type": "text", "text": "Well."}, refusal]


def test_content_parts_of_openai_stay_as_they_are() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
    message = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, image]}
    assert as_messages([message], role="user") == [message]
    assert text_of([message]) == "What is this?"


@pytest.mark.parametrize(
    "part",
    [
        {"type": "blob", "mime_type": "image/png", "modality": "image", "content": "AAAA"},
        {"type": "file", "file_id": "f1", "modality": "image"},
        {"type": "uri", "uri": "https://example.com/a.png", "modality": "image"},
        {"type": "hologram", "depth": 3},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
        {"kind": "data", "data": {"a": 1}},
    ],
)
def test_parts_that_are_neither_text_nor_a_call_are_kept(part: dict[str, Any]) -> None:
    (message,) = as_messages([{"role": "user", "parts": [{"type": "text", "content": "see"}, part]}], role="user")
    assert message == {"role": "user", "content": [{"type": "text", "text": "see"}, part]}


def test_several_tool_responses_of_one_message_are_messages_of_their_own() -> None:
    parts = [
        {"type": "tool_call_response", "id": "call_1", "response": {"temp": 5}},
        {"type": "tool_call_response", "id": "call_2", "result": ["a", 1]},
        {"type": "text", "content": "and now?"},
    ]
    assert as_messages([{"role": "user", "parts": parts}], role="user") == [
        {"role": "tool", "content": '{"temp":5}', "tool_call_id": "call_1"},
        {"role": "tool", "content": '["a",1]', "tool_call_id": "call_2"},
        {"role": "user", "content": "and now?"},
    ]


def test_the_finish_reason_is_kept_wherever_it_is_written() -> None:
    answer = {"role": "assistant", "content": "It rains.", "finish_reason": "stop"}
    for written in (
        [{"role": "assistant", "parts": [{"type": "text", "content": "It rains."}], "finish_reason": "stop"}],
        {"index": 0, "message": ANSWER, "finish_reason": "stop"},
        {"id": "1", "object": "chat.completion", "choices": [{"index": 0, "message": ANSWER, "finish_reason": "stop"}]},
        {"choices": [{"index": 0, "text": "It rains.", "finish_reason": "stop"}]},
        {"type": "message", "role": "assistant", "content": "It rains.", "stop_reason": "stop"},
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "It rains."}]}, "finishReason": "stop"}]},
        {"type": "ai", "content": "It rains.", "response_metadata": {"finish_reason": "stop"}},
        {"generations": [[{"text": "It rains.", "generation_info": {"finish_reason": "stop"}}]], "llm_output": {}},
        {
            "generations": [
                [
                    {
                        "text": "It rains.",
                        "type": "ChatGeneration",
                        "generation_info": {"finish_reason": "stop"},
                        "message": langchain("AIMessage", content="It rains."),
                    }
                ]
            ]
        },
    ):
        assert as_messages(written, role="assistant") == [answer], written


def test_reasoning_is_apart_from_the_content() -> None:
    thought = {"role": "assistant", "content": "It rains.", "reasoning": "Look outside."}
    text = {"type": "text", "text": "It rains."}
    for written in (
        {"role": "assistant", "parts": [{"type": "reasoning", "content": "Look outside."}, text]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "Look outside.", "signature": "x"}, text]},
        {"role": "assistant", "content": [{"type": "reasoning", "text": "Look outside."}, text]},
        {"role": "model", "parts": [{"text": "Look outside.", "thought": True}, {"text": "It rains."}]},
        {"role": "assistant", "content": "It rains.", "reasoning_content": "Look outside."},
        {"role": "assistant", "content": "It rains.", "reasoning": "Look outside."},
        {"type": "ai", "content": "It rains.", "additional_kwargs": {"reasoning_content": "Look outside."}},
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Look outside."}]}, text],
    ):
        assert as_messages(written, role="assistant") == [thought], written
    assert text_of([thought]) == "It rains."


def test_reasoning_that_was_not_disclosed_leaves_no_trace() -> None:
    written = [{"type": "reasoning", "id": "rs_1", "summary": []}, {"role": "assistant", "content": "It rains."}]
    assert as_messages({"output": written}, role="assistant") == [ANSWER]


@pytest.mark.parametrize(
    "written",
    [
        [{"type": "tool_use", "id": "call_1", "name": "weather", "input": ARGUMENTS}],
        [{"toolCallType": "function", "toolCallId": "call_1", "toolName": "weather", "args": '{"city":"Paris"}'}],
        [{"type": "tool-call", "toolCallId": "call_1", "toolName": "weather", "input": ARGUMENTS}],
        [CALL],
        {"role": "assistant", "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": [{"id": "call_1", "name": "weather", "arguments": ARGUMENTS}]},
        {"role": "assistant", "tool_calls": json.dumps([CALL])},
        {"role": "assistant", "content": None, "additional_kwargs": {"tool_calls": [CALL]}},
        {"role": "assistant", "content": [{"toolUse": {"toolUseId": "call_1", "name": "weather", "input": ARGUMENTS}}]},
        {"role": "model", "parts": [{"functionCall": {"id": "call_1", "name": "weather", "args": ARGUMENTS}}]},
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "weather", "input": ARGUMENTS}],
            "tool_calls": [{"id": "call_1", "name": "weather", "args": ARGUMENTS}],
        },
    ],
)
def test_calls_of_tools_are_openais_whoever_wrote_them(written: Any) -> None:
    assert as_messages(written, role="user") == [CALLING]


def test_a_call_without_id_or_arguments_has_empty_ones() -> None:
    (message,) = as_messages({"role": "model", "parts": [{"functionCall": {"name": "now"}}]}, role="assistant")
    assert message["tool_calls"] == [{"id": "", "type": "function", "function": {"name": "now", "arguments": "{}"}}]


def test_results_of_tools_keep_the_names_they_have() -> None:
    gemini = {"role": "user", "parts": [{"functionResponse": {"name": "weather", "response": {"sky": "grey"}}}]}
    assert as_messages(gemini, role="user") == [{"role": "tool", "content": '{"sky":"grey"}', "name": "weather"}]
    vercel = {"toolCallId": "1", "toolName": "weather", "result": {"sky": "grey"}}
    assert as_messages([vercel], role="user") == [
        {"role": "tool", "content": '{"sky":"grey"}', "tool_call_id": "1", "name": "weather"}
    ]


def test_a_system_prompt_beside_the_messages_comes_first() -> None:
    system = {"role": "system", "content": "Be brief."}
    for written in (
        {"system": "Be brief.", "prompt": USER["content"]},
        {"system": "Be brief.", "messages": [USER]},
        {"system": [{"type": "text", "text": "Be brief."}], "messages": [USER], "model": "claude"},
        {"instructions": "Be brief.", "input": USER["content"], "model": "gpt"},
        {
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "contents": [{"role": "user", "parts": [{"text": USER["content"]}]}],
        },
    ):
        assert as_messages(written, role="user") == [system, USER], written
    assert as_messages({"system": "Be brief."}, role="user") == [system]


@pytest.mark.parametrize(
    ("value", "content"),
    [
        ([{"type": "text", "content": "Be brief."}], "Be brief."),
        ('[{"type": "text", "content": "Be brief."}]', "Be brief."),
        ("Be brief.", "Be brief."),
        ({"role": "developer", "content": "Be brief."}, "Be brief."),
        (["Be brief.", "Be kind."], [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]),
    ],
)
def test_system_instructions_are_one_message(value: object, content: object) -> None:
    assert system_message(value) == {"role": "system", "content": content}


@pytest.mark.parametrize("value", [None, "", [], {}, "[]", [{"role": "system", "content": None}]])
def test_no_system_instructions_are_no_message(value: object) -> None:
    assert system_message(value) is None


@pytest.mark.parametrize("value", [None, "", [], {}, "[]", {"messages": []}])
def test_nothing_is_no_messages(value: object) -> None:
    assert as_messages(value, role="user") == []


@pytest.mark.parametrize(
    "text",
    ["hello", "[see below] hello", '{"role": "user"', "{}", "42", "null", "[1, 2]", '{"city" : "Paris"}', "{'a': 1}"],
)
def test_text_that_holds_no_messages_is_one_message_as_it_was_written(text: str) -> None:
    assert as_messages(text, role="user") == [{"role": "user", "content": text}]
    assert as_messages(text, role="assistant") == [{"role": "assistant", "content": text}]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        (False, "false"),
        ({"role": "user", "email": "ann@example.com"}, '{"role":"user","email":"ann@example.com"}'),
        ({"messages": [{"subject": "Bill"}], "folder": "inbox"}, '{"messages":[{"subject":"Bill"}],"folder":"inbox"}'),
        ({"prompt": "a cat", "size": "1024x1024"}, '{"prompt":"a cat","size":"1024x1024"}'),
        ({"input": {"text": "hi"}, "language": "de"}, '{"input":{"text":"hi"},"language":"de"}'),
        ({"message": {"text": "hi"}, "chat": 5}, '{"message":{"text":"hi"},"chat":5}'),
        ({"question": "?", "choices": ["yes", "no"]}, '{"question":"?","choices":["yes","no"]}'),
        ({"kind": "engine", "parts": [{"part": "valve"}]}, '{"kind":"engine","parts":[{"part":"valve"}]}'),
        ({"id": 5, "content": "note"}, '{"id":5,"content":"note"}'),
        ({"content": "a,b", "path": "/data.csv"}, '{"content":"a,b","path":"/data.csv"}'),
        ([{"title": "One"}, {"title": "Two"}], '[{"title":"One"},{"title":"Two"}]'),
        ({"number": 2**70, "half": "\ud800", "bytes": b"\x00"}, '{"number":"1180591620717411303424","half":"?"'),
    ],
)
def test_data_of_an_application_is_one_message_with_its_json(value: object, text: str) -> None:
    (message,) = as_messages(value, role="user")
    assert message["role"] == "user"
    assert str(message["content"]).startswith(text)


def test_what_is_no_message_among_messages_is_one_with_its_json() -> None:
    assert as_messages([USER, {"city": "Paris"}, ANSWER], role="user") == [
        USER,
        {"role": "user", "content": '{"city":"Paris"}'},
        ANSWER,
    ]


def test_a_list_of_texts_is_a_message_each() -> None:
    assert as_messages(["one", "two"], role="user") == [
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
    ]
    assert as_messages([json.dumps(USER), json.dumps(ANSWER)], role="user") == [USER, ANSWER]
    assert as_messages(json.dumps("just text"), role="user") == [{"role": "user", "content": "just text"}]


def test_messages_that_were_encoded_twice_are_found() -> None:
    assert as_messages(json.dumps(json.dumps([USER])), role="user") == [USER]
    assert as_messages({"messages": json.dumps([USER])}, role="user") == [USER]


def test_the_value_that_was_given_is_not_changed() -> None:
    for value in CONVERSATIONS.values():
        before = copy.deepcopy(value)
        as_messages(value, role="user")
        assert value == before


OPENINFERENCE = {
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.contents.0.message_content.type": "text",
    "llm.input_messages.0.message.contents.0.message_content.text": "What is this?",
    "llm.input_messages.0.message.contents.1.message_content.type": "image",
    "llm.input_messages.0.message.contents.1.message_content.image.image.url": "https://example.com/a.png",
    "llm.input_messages.1.message.role": "assistant",
    "llm.input_messages.1.message.tool_calls.0.tool_call.id": "call_1",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.name": "weather",
    "llm.input_messages.1.message.tool_calls.0.tool_call.function.arguments": '{"city":"Paris"}',
    "llm.input_messages.2.message.role": "tool",
    "llm.input_messages.2.message.content": "rainy",
    "llm.input_messages.2.message.tool_call_id": "call_1",
    "llm.input_messages_total": 3,
    "llm.output_messages.0.message.role": "assistant",
    "llm.output_messages.0.message.content": "It rains.",
}
OPENLLMETRY = {
    "gen_ai.prompt.0.role": "user",
    "gen_ai.prompt.0.content": '[{"type": "text", "text": "What is the weather in Paris?"}]',
    "gen_ai.prompt.1.role": "assistant",
    "gen_ai.prompt.1.tool_calls.0.id": "call_1",
    "gen_ai.prompt.1.tool_calls.0.name": "weather",
    "gen_ai.prompt.1.tool_calls.0.arguments": '{"city":"Paris"}',
    "gen_ai.prompt.2.role": "tool",
    "gen_ai.prompt.2.content": "rainy",
    "gen_ai.prompt.2.tool_call_id": "call_1",
    "gen_ai.completion.0.role": "assistant",
    "gen_ai.completion.0.content": "It rains.",
    "gen_ai.completion.0.finish_reason": "stop",
}


def test_flattened_messages_of_openinference() -> None:
    assert as_messages(unflatten(OPENINFERENCE, "llm.input_messages"), role="user") == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "What is this?"},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        },
        CALLING,
        TOLD,
    ]
    assert as_messages(unflatten(OPENINFERENCE, "llm.output_messages"), role="assistant") == [ANSWER]


def test_the_older_function_calls_of_openinference() -> None:
    attributes = {
        "llm.output_messages.0.message.role": "assistant",
        "llm.output_messages.0.message.function_call_name": "weather",
        "llm.output_messages.0.message.function_call_arguments_json": '{"city":"Paris"}',
    }
    (message,) = as_messages(unflatten(attributes, "llm.output_messages"), role="assistant")
    assert message["tool_calls"] == [CALL | {"id": ""}]


def test_flattened_messages_of_openllmetry() -> None:
    found = as_messages(unflatten(OPENLLMETRY, "gen_ai.prompt"), role="user")
    assert found == [{"role": "user", "content": [{"type": "text", "text": USER["content"]}]}, CALLING, TOLD]
    answer = as_messages(unflatten(OPENLLMETRY, "gen_ai.completion"), role="assistant")
    assert answer == [ANSWER | {"finish_reason": "stop"}]


def test_indexes_order_the_items_and_gaps_are_closed() -> None:
    attributes = {f"p.{index}.content": index for index in (10, 2, 0, 7)}
    assert unflatten(attributes, "p") == [{"content": 0}, {"content": 2}, {"content": 7}, {"content": 10}]
    assert unflatten({"p.1": "b", "p.0": "a"}, "p") == ["a", "b"]
    assert unflatten({"q.0.role": "user"}, "p") == unflatten({}, "p") == []


@pytest.mark.parametrize(
    "key",
    ["p.-1.role", "p.x.role", "p..role", "p.", "p", "p.1e3.role", "p.²", "p.٣.role", f"p.{'9' * 5000}.role"],
)
def test_what_is_no_index_is_left_out(key: str) -> None:
    assert unflatten({key: "user", "p.0.role": "user"}, "p") == [{"role": "user"}]


def test_huge_indexes_cost_nothing_and_items_are_bounded() -> None:
    assert unflatten({"p.999999999.role": "user"}, "p") == [{"role": "user"}]
    attributes = {f"p.{index}.tool_calls.{inner}.id": "x" for index in (3, 1) for inner in range(1_500)}
    items: Any = unflatten(attributes, "p")
    assert [len(item["tool_calls"]) for item in items] == [1_000, 1_000]
    many = unflatten({f"p.{index}": index for index in reversed(range(1_500))}, "p")
    assert many == list(range(1_000))


def test_a_key_of_very_many_names_is_left_out() -> None:
    assert unflatten({"p.0" + ".0" * 100_000: "x", "p.1": "y"}, "p") == ["y"]


def test_a_value_that_has_members_as_well_stays_a_value() -> None:
    for attributes in ({"p.0": "x", "p.0.role": "user"}, {"p.0.role": "user", "p.0": "x"}):
        assert unflatten(attributes, "p") == ["x"]


def test_deep_nesting_is_one_message_of_bounded_text() -> None:
    value: Any = "core"
    for _ in range(5_000):
        value = [{"messages": value}]
    (message,) = as_messages(value, role="user")
    assert "…" in str(message["content"])
    text = '{"system":' * 300 + '"x"' + "}" * 300
    assert as_messages(text, role="user") == [{"role": "user", "content": text}]
    prompt: Any = [USER]
    for _ in range(40):
        prompt = {"messages": prompt}
    assert len(as_messages(prompt, role="user")) == 1


def test_arguments_that_nest_forty_levels_are_kept_whole() -> None:
    arguments: Any = "core"
    for _ in range(40):
        arguments = {"a": arguments}
    parts = [{"type": "tool_call", "id": "1", "name": "f", "arguments": arguments}]
    (message,) = as_messages([{"role": "assistant", "parts": parts}], role="assistant")
    calls: Any = message["tool_calls"]
    assert json.loads(calls[0]["function"]["arguments"]) == arguments


#: Members that the families use, so that arbitrary JSON comes near to what is read.
NAMES = st.sampled_from(
    [
        "role",
        "content",
        "parts",
        "type",
        "kind",
        "text",
        "tool_calls",
        "function",
        "name",
        "arguments",
        "args",
        "id",
        "message",
        "messages",
        "prompt",
        "system",
        "lc",
        "kwargs",
        "data",
        "choices",
        "generations",
        "candidates",
        "finish_reason",
        "index",
        "input",
        "output",
        "result",
        "response",
        "toolCallId",
        "toolName",
        "functionCall",
        "functionResponse",
        "reasoning",
        "thinking",
        "thought",
        "summary",
        "event.name",
        "refusal",
        "audio",
        "additional_kwargs",
        "image",
        "contents",
        "model",
        "instructions",
        "delta",
        "function_call",
        "value",
        "tool_call_id",
    ]
)
WORDS = st.sampled_from(
    [
        "user",
        "assistant",
        "tool",
        "human",
        "ai",
        "system",
        "text",
        "tool_call",
        "tool-result",
        "tool_use",
        "tool_result",
        "reasoning",
        "constructor",
        "HumanMessage",
        "gen_ai.user.message",
        "function",
        "function_call_output",
        "image_url",
        "ROLE_USER",
        "[]",
        "{}",
        "null",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | WORDS
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(NAMES | st.text(max_size=3), inner, max_size=5)
        | inner.map(json.dumps)
    ),
    max_leaves=25,
)


def check(messages: list[dict[str, Any]]) -> None:
    """The shape that readers rely on."""
    for message in messages:
        assert message.keys() <= {
            "role",
            "content",
            "name",
            "tool_calls",
            "tool_call_id",
            "reasoning",
            "finish_reason",
        }
        assert isinstance(message["role"], str)
        content = message["content"]
        assert content is None or isinstance(content, str) or all(isinstance(part, dict) for part in content)
        for call in message.get("tool_calls", []):
            assert call.keys() == {"id", "type", "function"}
            assert all(isinstance(text, str) for text in (call["id"], *call["function"].values()))
        for name in ("name", "tool_call_id", "reasoning", "finish_reason"):
            assert isinstance(message.get(name, ""), str)


@given(VALUES)
@settings(max_examples=500, deadline=None)
def test_any_json_value_gives_messages(value: object) -> None:
    before = copy.deepcopy(value)
    found = as_messages(value, role="user")
    check(found)
    text_of(found)
    system_message(value)
    assert repr(value) == repr(before)
    if not isinstance(value, str | dict | list | None):
        assert len(found) == 1


@given(st.text())
def test_any_text_gives_its_messages_or_itself(text: str) -> None:
    found = as_messages(text, role="user")
    check(found)
    if text and not text.lstrip().startswith(("{", "[", '"')):
        assert found == [{"role": "user", "content": text}]


SEGMENTS = st.lists(NAMES | st.integers(-2, 5).map(str) | st.text(max_size=3), max_size=8)


@given(st.dictionaries(SEGMENTS.map(lambda names: ".".join(["p", *names])), VALUES, max_size=12))
@settings(deadline=None)
def test_any_attributes_unflatten_to_messages(attributes: dict[str, object]) -> None:
    check(as_messages(unflatten(attributes, "p"), role="user"))
