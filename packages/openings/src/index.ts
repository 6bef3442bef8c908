/**
 * The one door of openings: text to IR, validation, plan, and the engine. Pure: no I/O, no clock.
 */
export { type Diagnostic, type Span, Diagnostics, renderDiagnostic } from './diagnostic.ts';
export {
  type AgentFlow,
  type AgentInterface,
  type Agents,
  type Condition,
  type EdgeSpec,
  type Group,
  type NodeSpec,
  type Opening,
  type Policy,
  type PortRef,
  type Predicate,
  type Retry,
  errPort,
  showRef,
} from './ir.ts';
export { openingSchema } from './schema.ts';
export { type Parsed, type Places, parseOpening } from './parse.ts';
export { openingFiles, openingNameOf, renamedTo } from './file-name.ts';
export { looksLikeBraces } from './brace.ts';
export { type Formatted, formatOpening, type Surface } from './format.ts';
export { validateOpening } from './validate.ts';
export { refitProblems } from './refit.ts';
export type { Nested } from './nest.ts';
export { flowAllowedAt, groupIdsOf, groupsOf, saysOfConfirming } from './groups.ts';
export { type Plan, type PlannedNode, planOf } from './plan.ts';
export { draw, type DrawingFormat, drawingFormats } from './draw/draw.ts';
export { type NodeFlow, flowsOf } from './flow.ts';
export { type Graph, graphOf } from './graph.ts';
export { step } from './engine/step.ts';
export {
  type NodePhase,
  type NodeState,
  type Outputs,
  type PortValue,
  type RunPhase,
  type RunState,
  finalPhases,
  inputsOf,
  newState,
} from './engine/state.ts';
export { type Effect, type EngineEvent, type Fact, type Outcome, type Signal, type Usage } from './engine/event.ts';
export { edgesMax, nestedFilesMax, nodesMax, openingBytesMax } from './limits.ts';
