// `npm run lab chaos-evidence`: see --help, and docs/development/how-it-is-tested.md.
import { runEvidenceChaos } from './evidence-run.ts';
import { readEvidenceChaosOptions } from './options.ts';
import { faultsOf, reportOf } from './report.ts';

const options = readEvidenceChaosOptions(process.argv.slice(2));
const say = (line: string) => process.stderr.write(`${line}\n`);
say(`evidence under chaos with seed ${options.seed} for ${options.durationMs / 1_000} s`);
const result = await runEvidenceChaos(options, say);
process.stdout.write(options.json ? `${JSON.stringify(result)}\n` : reportOf(result));
process.exitCode = faultsOf(result).length === 0 ? 0 : 1;
