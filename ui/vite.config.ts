import react from "@vitejs/plugin-react";
import { compression } from "vite-plugin-compression2";
import { defineConfig } from "vitest/config";

// `npm run dev` shows the pages with the data of this broker.
const broker = process.env.ARK_BROKER_URL ?? "http://127.0.0.1:4318";

export default defineConfig({
  // All paths of the pages lie under /ui/: no route of the API is hidden by one of theirs.
  base: "/ui/",
  plugins: [react(), compression({ algorithms: ["gzip", "brotliCompress"], threshold: 1024 })],
  build: {
    outDir: "../src/ark_broker/_ui",
    emptyOutDir: true,
    target: "es2022",
    // The content security policy allows no inline script, and no data: URL but for images.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 1800,
    rollupOptions: { input: ["index.html", "docs.html"] },
  },
  server: { proxy: { "/v1": broker, "/health": broker, "/metrics": broker } },
  // Tests that need a page say so in their first line. None is about time: the machine may be busy.
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
