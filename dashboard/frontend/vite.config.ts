import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { loadEnv } from 'vite'
import { defineConfig } from 'vitest/config'

/** `npm run dev` shows the page beside a running dashboard: DASHBOARD_URL, or the one at its usual address. */
export default defineConfig(({ mode }) => {
  const service = loadEnv(mode, '.', 'DASHBOARD_').DASHBOARD_URL ?? 'http://127.0.0.1:8081'
  return {
    plugins: [react(), tailwindcss()],
    build: {
      outDir: '../static',
      emptyOutDir: true,
      // The policy of the service allows no data: scripts or styles, and a file is cached for good.
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      rolldownOptions: { checks: { pluginTimings: false } },
    },
    server: { proxy: { '/api': service, '/login': service, '/logout': service, '/plain.css': service } },
    test: { include: ['src/**/*.test.ts'], environment: 'node', env: { TZ: 'Europe/Berlin' } },
  }
})
