import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fastifyStatic from '@fastify/static';
import type { FastifyInstance } from 'fastify';

/** The bundle has all of them in one folder beside it. */
const bundled = fileURLToPath(new URL('console', import.meta.url));
const folders = existsSync(bundled)
  ? [bundled]
  : [fileURLToPath(new URL('assets', import.meta.url)), fileURLToPath(new URL('.', import.meta.resolve('idiomorph')))];

/**
 * Style, scripts and the logo. They are public and hold no data. Asked for again each time (an ETag keeps that small), so
 * that replicas of two versions behind one address do no harm.
 */
export const assetRoutes = async (console: FastifyInstance): Promise<void> => {
  await console.register(fastifyStatic, {
    root: folders,
    prefix: '/console/assets/',
    cacheControl: false,
    index: false,
    list: false,
    schemaHide: true,
    // Of the library, one file.
    allowedPath: (path) =>
      /^\/(?:console\.css|overview\.css|explorer\.css|explorer\.js|summary\.css|summary\.js|result\.css|working\.css|side-panel\.js|live-tail\.js|keep-searching\.js|mark\.svg|console\.js|idiomorph\.esm\.js)$/.test(
        path,
      ),
    setHeaders: (reply) => void reply.header('cache-control', 'no-cache'),
  });
};
