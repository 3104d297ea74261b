import { runMigration } from '#pkg/datastore/testing/migration.ts'

// A migration as a process of its own, to be killed: `node run.ts <from> <to> [<n>]`; prints each progress as a line of
// JSON, and goes no further than the n-th.
const [from = '', to = '', haltAt] = process.argv.slice(2)
let reported = 0
const summary = await runMigration(from, to, (progress) => {
  process.stdout.write(`${JSON.stringify(progress)}\n`)
  reported += 1
  if (reported === Number(haltAt)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
})
process.stdout.write(`${JSON.stringify(summary)}\n`)
