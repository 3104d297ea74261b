import { runMigration } from '#pkg/datastore/testing/migration.ts'

// A migration as a process of its own, to be killed: `node run.ts <from> <to> [<phase> <percent>]`; prints each progress
// as a line of JSON, and goes no further than the first of the phase with at least so many percent.
const [from = '', to = '', haltPhase, haltPercent] = process.argv.slice(2)
const summary = await runMigration(from, to, (progress) => {
  process.stdout.write(`${JSON.stringify(progress)}\n`)
  const halts = progress.phase === haltPhase && progress.percent >= Number(haltPercent)
  if (halts) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
process.stdout.write(`${JSON.stringify(summary)}\n`)
