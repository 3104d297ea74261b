/** metav1.Time: to the second. */
export function kubeTime(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, 'Z')
}

/** metav1.MicroTime. */
export function kubeMicroTime(at: Date): string {
  return at.toISOString().replace('Z', '000Z')
}
