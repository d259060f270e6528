import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page of a recording is one script and one style, because a report holds both in
// its one file: what the page of the server loads later is in them from the beginning.
export default defineConfig({
  plugins: [react(), tailwindcss()],
  publicDir: false,
  build: {
    target: "es2023",
    outDir: "dist/recorded",
    emptyOutDir: true,
    cssCodeSplit: false,
    chunkSizeWarningLimit: 1000,
    reportCompressedSize: false,
    rolldownOptions: {
      input: "src/app/recorded.tsx",
      output: { codeSplitting: false, entryFileNames: "recorded.js", assetFileNames: "recorded[extname]" },
    },
  },
});
