import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { modes } from '#pkg/constant/files.ts'

/**
 * Writes the PID for people, scripts and the next supervisor. Synchronous, so that not one event-loop turn lies between
 * the birth of a process and its record. A failure (full disk) is not an error: orphans are found without the file too.
 */
export function writePidFile(path: string, pid: number): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
    const temporary = `${path}.${pid}`
    writeFileSync(temporary, `${pid}\n`, { mode: modes.pidFile })
    renameSync(temporary, path)
  } catch {
    // see above
  }
}

/** The PID in the file, or undefined when there is no file or no PID in it. */
export function readPidFile(path: string): number | undefined {
  try {
    const pid = Number(readFileSync(path, 'utf8').trim())
    return Number.isSafeInteger(pid) && pid > 0 ? pid : undefined
  } catch {
    return undefined
  }
}
