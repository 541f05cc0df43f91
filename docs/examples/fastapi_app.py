"""A web service that answers questions. Its users may reload the page, or come from another replica: the answer is
in the broker, not in the process that makes it.

    pip install ark-broker openai fastapi uvicorn
    OPENAI_API_KEY=… uvicorn fastapi_app:app
    curl -d '{"text": "What is the weather in Paris?"}' -H 'content-type: application/json' localhost:8000/questions
    curl -N localhost:8000/answers/<query>
"""

import asyncio
import uuid
from contextlib import asynccontextmanager

from fastapi import FastAPI, HTTPException
from fastapi.responses import StreamingResponse
from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel

from ark_broker.client import AsyncClient, BrokerError, Refused


class Question(BaseModel):
    text: str
    session: str = "fastapi-example"


@asynccontextmanager
async def lifespan(app):
    async with AsyncClient() as broker, AsyncOpenAI() as openai, asyncio.TaskGroup() as answers:
        app.state.broker, app.state.openai, app.state.answers = broker, openai, answers
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/questions", status_code=202)
async def ask(question: Question):
    query = f"answer-{uuid.uuid4().hex[:8]}"
    await app.state.broker.send(
        {"type": "query.started", "sessionId": question.session, "query": query, "input": question.text}
    )
    app.state.answers.create_task(answer(query, question))
    return {"query": query}


async def answer(query, question):
    """Have the model answer. The chunks go to the broker; an exception becomes the stream's last chunk."""
    outcome = {"type": "query.completed"}
    try:
        async with app.state.broker.stream_chunks(query, session=question.session) as chunks:
            messages = [{"role": "user", "content": question.text}]
            stream = await app.state.openai.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True)
            async for chunk in stream:
                await chunks.send(chunk)
    except (OpenAIError, BrokerError) as error:
        outcome = {"type": "query.failed", "error": str(error)}
    await app.state.broker.send({**outcome, "sessionId": question.session, "query": query})


@app.get("/answers/{query}")
async def answers(query: str):
    """The answer as text: from its beginning, and on while it comes."""
    try:
        await app.state.broker.query(query)
    except Refused as refused:
        raise HTTPException(refused.status, refused.message) from None
    return StreamingResponse(text(query), media_type="text/plain")


async def text(query):
    async for chunk in app.state.broker.tail_query(query, events=False):
        if "error" in chunk:
            yield f"\n{chunk['error']['message']}"
        for choice in chunk.get("choices", []):
            yield choice["delta"].get("content") or ""
