import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// The page works under a policy that allows no inline script or style: nothing is
// inlined, and dist keeps its stub, which is committed.
export default defineConfig({
  plugins: [react(), tailwindcss()],
  build: { target: "es2023", assetsInlineLimit: 0, emptyOutDir: false, chunkSizeWarningLimit: 1000, reportCompressedSize: false },
  server: {
    // `npm run dev` beside `testmesh dev`: the API is the real one.
    proxy: Object.fromEntries(
      ["/api", "/testmesh.api.v1"].map((path) => [
        path,
        { target: process.env.TESTMESH_SERVER ?? "http://127.0.0.1:7070", ws: true, changeOrigin: true, rewriteWsOrigin: true },
      ]),
    ),
  },
});
