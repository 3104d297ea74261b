import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/*
 * Reading /proc. The calls are synchronous on purpose: procfs answers from memory in microseconds, and a process that is
 * looked at in one go cannot be replaced by another one between two awaits. Everything returns undefined when the
 * process is gone or may not be looked at; that is an expected outcome, not an error.
 */

/** What /proc/PID/stat says of a process (proc_pid_stat(5)). */
export interface ProcessStat {
  readonly pid: number
  /** One letter; `Z` is a zombie: dead, but not yet collected by its parent. */
  readonly state: string
  readonly parentPid: number
  readonly groupId: number
  readonly sessionId: number
  /** Threads that have not ended. A process's first thread can be a zombie while others still hold its files open. */
  readonly threads: number
  /** Clock ticks between boot and the process's start: with the PID it names a process for ever. */
  readonly startTime: number
}

/** State, parent, group and start time of a process. */
export function processStat(pid: number): ProcessStat | undefined {
  const text = readProc(pid, 'stat')
  if (text === undefined) return undefined
  // The command is in parentheses and may contain both spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (index: number): number => Number(fields[index])
  return {
    pid,
    state: fields[0] ?? '?',
    parentPid: number(1),
    groupId: number(2),
    sessionId: number(3),
    threads: number(17),
    startTime: number(19),
  }
}

/** Whether the process exists and is more than a zombie. */
export function isAlive(pid: number): boolean {
  const stat = processStat(pid)
  return stat !== undefined && !isDead(stat)
}

/** Whether nothing of the process runs any more, so that its ports and files are free. */
export function isDead(stat: ProcessStat): boolean {
  return (stat.state === 'Z' && stat.threads <= 1) || stat.state === 'X'
}

/** The environment the process was started with, as `NAME=value` strings. */
export function processEnvironment(pid: number): readonly string[] | undefined {
  return readProc(pid, 'environ')?.split('\0').filter(Boolean)
}

/** The command line of the process; empty for kernel threads. */
export function processArgs(pid: number): readonly string[] | undefined {
  return readProc(pid, 'cmdline')?.split('\0').slice(0, -1)
}

/** Short name for messages: the base name of the program, or what the kernel calls it. */
export function processName(pid: number): string | undefined {
  const program = processArgs(pid)?.[0]
  return program !== undefined && program !== '' ? basename(program) : readProc(pid, 'comm')?.trim()
}

/** The identity of a namespace the process is in, for example `net:[4026531840]`. */
export function processNamespace(pid: number | 'self', kind: 'net' | 'mnt' | 'pid'): string | undefined {
  return readLink(`/proc/${pid}/ns/${kind}`)
}

/** PIDs of all processes visible here. */
export function allPids(): readonly number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

/** PID of a process that has the socket with this inode number open. */
export function socketOwner(inode: string): number | undefined {
  const target = `socket:[${inode}]`
  return allPids().find((pid) => openFiles(pid).some((file) => readLink(file) === target))
}

function openFiles(pid: number): readonly string[] {
  const directory = `/proc/${pid}/fd`
  try {
    return readdirSync(directory).map((fd) => `${directory}/${fd}`)
  } catch {
    return []
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path)
  } catch {
    return undefined
  }
}

function readProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return undefined
  }
}
