import type { ProgramResult } from '#pkg/supervisor/run-program.ts'

/** What a failed program said, in one line. */
export function said({ code, stdout, stderr }: ProgramResult): string {
  if (code === undefined) return 'the program is not installed'
  const text = stderr.trim() === '' ? stdout : stderr
  const lines = text.split('\n').map((line) => line.replace(/^\s*\*\s*/, '').trim())
  return lines.filter((line) => line !== '').join('; ') || `exit code ${code}`
}
