/** A log that keeps its lines, for tests that ask what was said. */
import type { Log, LogFields, LogLevel } from '@runloop/core';

export type LogLine = { readonly level: LogLevel; readonly message: string; readonly fields: LogFields };

export interface MemoryLog extends Log {
  readonly lines: readonly LogLine[];
  /** Lines at `level`. */
  at(level: LogLevel): readonly LogLine[];
}

export function memoryLog(): MemoryLog {
  const lines: LogLine[] = [];
  return {
    lines,
    log: (level, message, fields = {}) => void lines.push({ level, message, fields }),
    at: (level) => lines.filter((line) => line.level === level),
  };
}
