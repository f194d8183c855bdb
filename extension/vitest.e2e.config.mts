import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/e2e/**/*.test.ts"],
    globalSetup: ["test/e2e/install.ts"],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 180_000,
    // A workbench, a browser and a server on two busy cores: CI looks twice before it believes in a fault.
    retry: process.env.CI ? 2 : 0,
  },
});
