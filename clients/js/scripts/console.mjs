// Gives the server's playground the client as it is now; it is part of the server's binary.
import { copyFileSync } from 'node:fs';

copyFileSync(
  new URL('../dist/tidegate.js', import.meta.url),
  new URL('../../../host/src/server/console/tidegate.js', import.meta.url),
);
