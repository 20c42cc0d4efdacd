import type { FastifyInstance } from 'fastify';
import { hidden } from './hidden.ts';
import { THEME_COOKIE, themes } from './page.ts';
import { nextAddress } from './sign-in/next-address.ts';

const A_YEAR_SECONDS = 31_536_000;

/** Remembers light, dark, or as the system has it. */
export const themeRoutes = (console: FastifyInstance): void => {
  console.post<{ Body: { theme?: unknown; next?: unknown } | undefined }>(
    '/console/theme',
    { schema: hidden },
    (request, reply) => {
      const theme = themes.find((name) => name === request.body?.theme) ?? 'auto';
      return reply
        .setCookie(THEME_COOKIE, theme, {
          path: '/',
          httpOnly: true,
          sameSite: 'strict',
          maxAge: A_YEAR_SECONDS,
          secure: request.protocol === 'https',
        })
        .redirect(nextAddress(request.body?.next), 303);
    },
  );
};
