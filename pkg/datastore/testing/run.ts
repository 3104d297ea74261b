import { runMigration } from '#pkg/datastore/testing/migration.ts'

// A migration as a process of its own, to be killed: `node run.ts <from> <to>`; prints each progress as a line of JSON.
const [from = '', to = ''] = process.argv.slice(2)
const summary = await runMigration(from, to, (progress) => process.stdout.write(`${JSON.stringify(progress)}\n`))
process.stdout.write(`${JSON.stringify(summary)}\n`)
