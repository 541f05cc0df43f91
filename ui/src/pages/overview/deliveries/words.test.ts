import { describe, expect, it } from "vitest";
import { healthOf, kindOf, nameOf } from "./words";

describe("a delivery in words", () => {
  it("fails, is behind, or delivers", () => {
    expect(healthOf({ failures: 3, lag: 0 })).toBe("failing");
    expect(healthOf({ failures: 0, lag: 4_000 })).toBe("behind");
    expect(healthOf({ failures: 0, lag: 3 })).toBe("delivering");
  });

  it("is of a kind, and says where it leads once", () => {
    expect(kindOf({ name: "otlp:jaeger" })).toBe("OTLP upstream");
    expect(kindOf({ name: "webhook:oncall" })).toBe("webhook");
    expect(nameOf({ name: "otlp:jaeger", to: "http://jaeger:4318" })).toBe("http://jaeger:4318");
    expect(nameOf({ name: "webhook:oncall", to: "https://hooks.example.com" })).toBe(
      "oncall → https://hooks.example.com",
    );
  });
});
