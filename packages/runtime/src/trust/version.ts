/** Order of semantic versions, as their specification gives it; build metadata counts for nothing. */
export function compareVersions(a: string, b: string): number {
  const [x, y] = [parts(a), parts(b)];
  for (let i = 0; i < 3; i += 1) {
    const difference = Number(x.numbers[i] ?? 0) - Number(y.numbers[i] ?? 0);
    if (difference !== 0) return Math.sign(difference);
  }
  if (x.labels.length === 0 || y.labels.length === 0) return Math.sign(y.labels.length - x.labels.length);
  for (let i = 0; i < Math.max(x.labels.length, y.labels.length); i += 1) {
    const order = compareLabels(x.labels[i], y.labels[i]);
    if (order !== 0) return order;
  }
  return 0;
}

function parts(version: string): { readonly numbers: readonly string[]; readonly labels: readonly string[] } {
  const [whole = ''] = version.split('+');
  const at = whole.indexOf('-');
  const labels = at < 0 ? [] : whole.slice(at + 1).split('.');
  return { numbers: (at < 0 ? whole : whole.slice(0, at)).split('.'), labels };
}

function compareLabels(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
  const [m, n] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (m && n) return Math.sign(Number(a) - Number(b));
  if (m !== n) return m ? -1 : 1;
  return a < b ? -1 : a > b ? 1 : 0;
}
