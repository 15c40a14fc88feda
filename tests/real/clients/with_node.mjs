// The official client for Node (openai) and the AI SDK of Vercel (ai, @ai-sdk/openai).
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// They are looked for in the folder this runs in, not beside this file.
const { resolve } = createRequire(`${process.cwd()}/`);
const load = (name) => import(pathToFileURL(resolve(name)).href);
const { OpenAI } = await load("openai");
const { zodResponsesFunction, zodTextFormat } = await load("openai/helpers/zod");
const { createOpenAI } = await load("@ai-sdk/openai");
const { APICallError, Output, generateText, stepCountIs, streamText, tool } = await load("ai");
const { z } = await load("zod");

const baseURL = process.env.BASE_URL;
const name = process.env.MODEL;
const client = new OpenAI({ baseURL, apiKey: "none", maxRetries: 0 });
const model = createOpenAI({ baseURL, apiKey: "none" }).responses(name);
const Person = z.object({ name: z.string(), age: z.number() });
const City = z.object({ city: z.string() });
const user = (content) => ({ role: "user", content });
const thinking = { forceReasoning: true, reasoningEffort: "low", reasoningSummary: "auto" };
const tools = {
  get_weather: tool({ inputSchema: City, execute: async ({ city }) => `Rain in ${city}.` }),
};

async function seenOf(stream) {
  const seen = [];
  for await (const event of stream) seen.push(event.type);
  return seen;
}

const wishes = {
  async turnsOfTheOfficialClient() {
    const first = await client.responses.create({ model: name, input: "I am Ada." });
    const after = { model: name, input: "And I?", previous_response_id: first.id };
    const stream = client.responses.stream(after);
    assert.equal((await seenOf(stream)).at(-1), "response.completed");
    assert.match((await stream.finalResponse()).output_text, /Ada/);
    const conversation = await client.conversations.create({});
    await client.responses.create({ model: name, input: "Hi.", conversation: conversation.id });
    const items = await client.conversations.items.list(conversation.id);
    assert.equal(items.data.length, 2);
    await client.responses.delete(first.id);
  },
  async formatsAndToolsOfTheOfficialClient() {
    const text = { format: zodTextFormat(Person, "person") };
    const parsed = await client.responses.parse({ model: name, input: "Who?", text });
    assert.ok(Person.parse(parsed.output_parsed));
    const weather = zodResponsesFunction({ name: "get_weather", parameters: City });
    const asked = { model: name, tools: [weather] };
    const first = await client.responses.parse({ ...asked, input: "Call get_weather." });
    const call = first.output.at(-1);
    assert.ok(call.parsed_arguments.city);
    const output = { type: "function_call_output", call_id: call.call_id, output: "Rain." };
    const after = { ...asked, input: [output], previous_response_id: first.id };
    assert.match((await client.responses.create(after)).output_text, /Rain/);
  },
  async refusalsToTheOfficialClient() {
    for (const stream of [false, true]) {
      const asked = client.responses.create({ model: name, input: "Please refuse.", stream });
      await assert.rejects(asked, OpenAI.RateLimitError);
    }
  },
  async turns() {
    const first = await generateText({ model, system: "Be brief.", prompt: "I am Ada." });
    assert.ok(first.usage.totalTokens > 0);
    const messages = [user("I am Ada."), ...first.response.messages, user("And I?")];
    assert.match((await generateText({ model, messages })).text, /Ada/);
    const openai = { previousResponseId: first.providerMetadata.openai.responseId };
    const stream = streamText({ model, prompt: "And I?", providerOptions: { openai } });
    assert.match(await stream.text, /Ada/);
    assert.equal(await stream.finishReason, "stop");
  },
  async toolLoops() {
    const stateless = { ...thinking, store: false, include: ["reasoning.encrypted_content"] };
    for (const openai of [{}, thinking, stateless]) {
      const asked = [user("Call get_weather.")];
      const options = { model, tools, stopWhen: stepCountIs(4), providerOptions: { openai } };
      const stream = streamText({ ...options, messages: asked });
      const seen = await seenOf(stream.fullStream);
      assert.ok(!seen.includes("error"));
      assert.equal(seen.includes("reasoning-delta"), "reasoningEffort" in openai);
      for (const result of [stream, await generateText({ ...options, messages: asked })]) {
        assert.match(await result.text, /Rain/);
        const messages = [...asked, ...(await result.response).messages, user("So?")];
        assert.match((await generateText({ ...options, messages })).text, /So\?/);
      }
    }
  },
  async structuredOutput() {
    const options = { model, output: Output.object({ schema: Person }), prompt: "Who?" };
    assert.ok(Person.parse((await generateText(options)).output));
    assert.ok(Person.parse(await streamText(options).output));
  },
  async everyOption() {
    const openai = {
      metadata: { a: "b" }, parallelToolCalls: false, serviceTier: "auto", textVerbosity: "low",
      user: "u", promptCacheKey: "k", promptCacheRetention: "24h", safetyIdentifier: "s",
      truncation: "auto",
    };
    const asked = { model, prompt: "Hi.", maxOutputTokens: 100, providerOptions: { openai } };
    assert.ok((await generateText(asked)).text);
  },
  async refusals() {
    const refused = generateText({ model, prompt: "Please refuse.", maxRetries: 0 });
    await assert.rejects(refused, (e) => APICallError.isInstance(e) && e.statusCode === 429);
  },
  async leaving() {
    const leaving = new AbortController();
    const options = { model, prompt: "Count slowly.", abortSignal: leaving.signal };
    for await (const part of streamText(options).fullStream) {
      if (part.type === "text-delta") leaving.abort();
    }
    assert.ok((await generateText({ model, prompt: "Hi." })).text);
  },
};

for (const [what, wish] of Object.entries(wishes)) {
  try {
    await wish();
    console.log("ok", what);
  } catch (error) {
    process.exitCode = 1;
    console.log("FAILED", what, error);
  }
}
