/**
 * Answers a question about this machine: with a model, with the output of one granted command, or with both.
 *
 * 1. The output of a command reaches the model as data, told apart from the question.
 * 2. Without a model the command's own output is the answer, and `source` says so.
 */
import { AgentFailure, HostError, type JsonObject, type JsonValue, defineAgent } from '@runloop/agent';

export default defineAgent({
  handle(request, host) {
    const { prompt, command, argv } = request.with;
    let output: string | undefined;
    if (typeof command === 'string') {
      const ran = host.exec.run({ command, argv: Array.isArray(argv) ? argv : [] }) as JsonObject;
      output = text(ran['stdout']);
      if (ran['exit_code'] !== 0) {
        throw new AgentFailure(
          `${command} ended with ${JSON.stringify(ran['exit_code'] ?? null)}: ${text(ran['stderr']).slice(0, 300)}`,
          { retryable: false },
        );
      }
    }
    if (typeof prompt !== 'string') {
      if (output === undefined) throw new AgentFailure('give with.prompt, with.command, or both', { retryable: false });
      return { out: [{ type: 'toolresult.generic.v1', value: { text: output, source: 'command' } }] };
    }
    const content = output === undefined ? prompt : `${prompt}\n<data>\n${output}\n</data>`;
    try {
      const said = host.model.complete({ messages: [{ role: 'user', content }], max_tokens: 500 }) as JsonObject;
      return { out: [{ type: 'toolresult.generic.v1', value: { text: text(said['text']), source: 'model' } }] };
    } catch (error) {
      if (output === undefined || !(error instanceof HostError) || error.code !== 'ProviderUnavailable') throw error;
      host.log('warn', 'no model is available: this is the output of the command itself');
      return { out: [{ type: 'toolresult.generic.v1', value: { text: output, source: 'command' } }] };
    }
  },
});

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}
