// The AI SDK (current major) with its OpenTelemetry integration, which writes the GenAI attribute names.
//
// The SDK has no session setting of its own: its users put one into `runtimeContext` and let telemetry include it.

import { createOpenAI } from "@ai-sdk/openai";
import { OpenTelemetry } from "@ai-sdk/otel";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, NodeTracerProvider } from "@opentelemetry/sdk-trace-node";
import { registerTelemetry, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OTLP_ENDPOINT, MODEL_URL, SESSION } = process.env;

const exporter = new OTLPTraceExporter({ url: `${OTLP_ENDPOINT}/v1/traces` });
const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ "service.name": "weather-service" }),
  spanProcessors: [new BatchSpanProcessor(exporter)],
});
provider.register();
registerTelemetry(new OpenTelemetry({ runtimeContext: true }));

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
  runtimeContext: { sessionId: SESSION },
  telemetry: { functionId: "weather-agent", includeRuntimeContext: { sessionId: true } },
  onError: ({ error }) => {
    throw error;
  },
});
console.log(await result.text);

await provider.shutdown();
