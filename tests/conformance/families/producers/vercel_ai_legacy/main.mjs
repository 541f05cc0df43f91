// The AI SDK 5 with `experimental_telemetry`, which writes the SDK's own `ai.*` attribute names.
//
// `metadata.sessionId` is how the users of these versions name a session.

import { createOpenAI } from "@ai-sdk/openai";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OTLP_ENDPOINT, MODEL_URL, SESSION } = process.env;

const exporter = new OTLPTraceExporter({ url: `${OTLP_ENDPOINT}/v1/traces` });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "weather-service" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();

const getWeather = tool({
  description: "The current weather in a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async () => "18 degrees and sunny",
});

const openai = createOpenAI({ baseURL: MODEL_URL, apiKey: "unused" });
const result = streamText({
  model: openai.chat("gpt-4o-mini"),
  prompt: "What is the weather in Paris?",
  tools: { get_weather: getWeather },
  stopWhen: stepCountIs(4),
  experimental_telemetry: {
    isEnabled: true,
    functionId: "weather-agent",
    metadata: { sessionId: SESSION },
  },
  onError: ({ error }) => {
    throw error;
  },
});
console.log(await result.text);

await provider.shutdown();
