import { appendFileSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import type { Plugin } from 'vite';
import { defineConfig } from 'vitest/config';

const here = fileURLToPath(new URL('.', import.meta.url));
const runtime = join(here, 'node_modules', 'onnxruntime-web', 'dist');
const runtimeFiles = ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'];

/** Puts the WebAssembly part of ONNX Runtime under ort/, where its own threads find it by a plain name. */
function onnxRuntime(): Plugin {
  return {
    name: 'onnx-runtime',
    writeBundle(options) {
      const target = join(options.dir ?? '', 'ort');
      mkdirSync(target, { recursive: true });
      for (const name of runtimeFiles) copyFileSync(join(runtime, name), join(target, name));
    },
    configureServer(server) {
      server.middlewares.use('/ort/', (request, response, next) => {
        const name = (request.url ?? '').replace(/^\//, '').replace(/\?.*/, '');
        if (!runtimeFiles.includes(name) || !existsSync(join(runtime, name))) return next();
        response.setHeader('Content-Type', name.endsWith('.mjs') ? 'text/javascript' : 'application/wasm');
        response.end(readFileSync(join(runtime, name)));
      });
    },
  };
}

/** Names ONNX Runtime, whose package has no text of its license that Vite could find, among the licenses. */
function onnxRuntimeLicense(): Plugin {
  return {
    name: 'onnx-runtime-license',
    writeBundle(options) {
      const { version } = JSON.parse(readFileSync(join(runtime, '..', 'package.json'), 'utf-8')) as { version: string };
      const text = readFileSync(join(here, 'onnxruntime-license.txt'), 'utf-8');
      appendFileSync(join(options.dir ?? '', 'licenses.md'), `\n## onnxruntime-web - ${version} (MIT)\n\n${text}`);
    },
  };
}

/** Puts a .gz beside each larger file of text or code, for the server to send as it is. */
function compressed(): Plugin {
  let folder = '';
  return {
    name: 'compressed',
    writeBundle(options) {
      folder = options.dir ?? '';
    },
    closeBundle() {
      if (folder === '') return;
      for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf-8' })) {
        const path = join(folder, entry);
        if (!/\.(js|mjs|css|wasm)$/.test(entry) || statSync(path).size < 2048) continue;
        writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
      }
    },
  };
}

const isolation = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

export default defineConfig({
  base: './',
  plugins: [svelte({ configFile: false }), onnxRuntime(), onnxRuntimeLicense(), compressed()],
  // The bundle that holds its own WebAssembly starts its threads from our worker's file and hangs; this picks the other.
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', 'module', 'browser', 'import'] },
  worker: { format: 'es' },
  build: {
    outDir: '../static',
    emptyOutDir: true,
    target: 'es2022',
    license: { fileName: 'licenses.md' },
    chunkSizeWarningLimit: 1000,
  },
  server: { headers: isolation, proxy: { '/api': process.env.STUDIO_SERVER ?? 'http://127.0.0.1:8080' } },
  test: { include: ['src/**/*.test.ts'] },
});
