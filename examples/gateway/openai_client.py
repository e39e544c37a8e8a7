"""The official `openai` client, unmodified, against the gateway.

    pip install openai
    python examples/gateway/openai_client.py target/debug/examples/gateway

Starts the gateway in front of its two providers in a box, and fails where anything isn't as the client expects it.
"""

import asyncio
import subprocess
import sys

import openai


def client(base_url, tenant, retries=0, kind=openai.OpenAI):
    return kind(base_url=base_url, api_key=f"sk-{tenant}", max_retries=retries)


def ask(of, **more):
    messages = [{"role": "user", "content": "What is a quota?"}]
    return of.chat.completions.create(model="gpt-4.1", messages=messages, max_tokens=20, **more)


def chat(base_url):
    answer = ask(client(base_url, "enterprise"))
    assert answer.choices[0].message.content, answer
    assert answer.usage.total_tokens > 0, answer


def streaming(base_url):
    text, usage = "", None
    with ask(client(base_url, "enterprise"), stream=True, stream_options={"include_usage": True}) as stream:
        for event in stream:
            if event.choices and event.choices[0].delta.content:
                text += event.choices[0].delta.content
            usage = event.usage or usage
    assert text and usage.completion_tokens > 0, (text, usage)


def embeddings(base_url):
    answer = client(base_url, "enterprise").embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    assert len(answer.data) == 2 and len(answer.data[0].embedding) > 0


def what_is_left(base_url):
    messages = [{"role": "user", "content": "What is a quota?"}]
    raw = client(base_url, "pro").chat.completions.with_raw_response.create(
        model="gpt-4.1", messages=messages, max_tokens=20
    )
    # The tenant's own, not the provider's 600 and 200,000.
    assert raw.headers["x-ratelimit-limit-requests"] == "60", raw.headers
    assert raw.headers["x-ratelimit-limit-tokens"] == "60000", raw.headers
    assert 0 < int(raw.headers["x-ratelimit-remaining-requests"]) < 60, raw.headers
    assert raw.headers["x-ratelimit-reset-requests"].endswith("s"), raw.headers
    assert raw.parse().usage.total_tokens > 0


def many_at_once(base_url):
    async def stream(of):
        messages = [{"role": "user", "content": "What is a quota?"}]
        events = await of.chat.completions.create(model="gpt-4.1", messages=messages, max_tokens=20, stream=True)
        return "".join([event.choices[0].delta.content or "" async for event in events if event.choices])

    async def all_of_them():
        async with client(base_url, "enterprise", kind=openai.AsyncOpenAI) as of:
            return await asyncio.gather(*[stream(of) for _ in range(40)])

    assert all(asyncio.run(all_of_them()))


def a_key_that_is_not_known(base_url):
    try:
        ask(client(base_url, "nobody"))
    except openai.AuthenticationError as error:
        assert error.code == "invalid_api_key", error.code
    else:
        raise AssertionError("somebody unknown was let in")


def a_request_that_is_wrong(base_url):
    try:
        client(base_url, "enterprise").chat.completions.create(model="gpt-4.1", messages=[])
    except openai.BadRequestError as error:
        assert "messages" in error.message, error.message
    else:
        raise AssertionError("a chat without messages was answered")


def an_error_in_place_of_a_stream(base_url):
    try:
        client(base_url, "enterprise").chat.completions.create(model="gpt-4.1", messages=[], stream=True)
    except openai.BadRequestError as error:
        assert "messages" in error.message, error.message
    else:
        raise AssertionError("a chat without messages was streamed")


def embeddings_of_nothing(base_url):
    try:
        client(base_url, "enterprise").embeddings.create(model="text-embedding-3-small", input=[])
    except openai.BadRequestError as error:
        assert "input" in error.message, error.message
    else:
        raise AssertionError("nothing was embedded")


def a_request_that_is_too_large(base_url):
    try:
        messages = [{"role": "user", "content": "What is a quota?"}]
        client(base_url, "free").chat.completions.create(model="gpt-4.1", messages=messages, max_tokens=6_000)
    except openai.APIStatusError as error:
        assert (error.status_code, error.code) == (413, "request_too_large"), error
        assert "of 5000 tokens per minute" in error.message, error.message
    else:
        raise AssertionError("more than a minute's tokens were let in at once")


def a_tenant_at_its_limit(base_url):
    of = client(base_url, "free")
    for _ in range(5):
        ask(of)
    try:
        ask(of)
    except openai.RateLimitError as error:
        assert error.code == "rate_limit_exceeded", error.code
        assert 1 <= int(error.response.headers["retry-after"]) <= 12, error.response.headers
        assert "requests per minute" in error.message, error.message
    else:
        raise AssertionError("the free tier has no end")
    # Somebody else isn't held up.
    ask(client(base_url, "pro"))


def the_client_s_own_retries(base_url):
    # It waits for as long as the gateway says, and comes through.
    ask(client(base_url, "free", retries=2))


def failures_of_the_first_provider_are_not_seen(base_url):
    of = client(base_url, "enterprise")
    for _ in range(100):
        ask(of)


def main(program):
    gateway = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
    try:
        for line in gateway.stdout:
            if line.startswith("listening on "):
                base_url = line.removeprefix("listening on ").strip()
                break
        else:
            raise AssertionError("the gateway ended before it listened")
        for check in [
            chat,
            streaming,
            embeddings,
            what_is_left,
            many_at_once,
            a_key_that_is_not_known,
            a_request_that_is_wrong,
            an_error_in_place_of_a_stream,
            embeddings_of_nothing,
            a_request_that_is_too_large,
            a_tenant_at_its_limit,
            the_client_s_own_retries,
            failures_of_the_first_provider_are_not_seen,
        ]:
            check(base_url)
            print("ok:", check.__name__.replace("_", " "), flush=True)
    finally:
        gateway.terminate()
        gateway.wait(10)


main(sys.argv[1])
