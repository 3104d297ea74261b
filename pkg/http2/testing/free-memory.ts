import v8 from 'node:v8'
import vm from 'node:vm'

/** Bytes that this process holds once everything that can go is gone: heap and buffers. */
export function heldBytes(): number {
  v8.setFlagsFromString('--expose-gc')
  const gc = vm.runInNewContext('gc') as () => void
  gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}
