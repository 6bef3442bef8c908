/**
 * The one door of the model broker: providers, routes, budgets, cache, prices.
 */
export { type Broker, type BrokerDeps, type ModelRow, createBroker } from './broker.ts';
export type { BrokerConfig, ProviderConfig, RouteConfig } from './broker-config.ts';
export { parseBrokerConfig } from './config.ts';
export { type BudgetUnit, type LevelState, type Spending } from './budgets.ts';
export { type BookedCall, type DayOf } from './levels.ts';
export { type Http, type HttpAnswer, undiciHttp } from './http.ts';
export {
  type Amounts,
  type CallContext,
  type Completion,
  type CompletionRequest,
  type EmbedRequest,
  type Embedding,
  type Message,
  type ModelCalled,
  type Overrun,
  type Part,
  type Spent,
  type Tool,
  type ToolCall,
  type Usage,
} from './request.ts';
export { parseCompletion, parseEmbedding } from './parse-request.ts';
export { answerBytesMax } from './limits.ts';
