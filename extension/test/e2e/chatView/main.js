// A default participant and a model that say nothing, in place of Copilot's: VS Code 1.100 has no Chat view without a
// default participant, and asks no participant without a model.

const { chat, lm } = require("vscode");

const silent = { provideLanguageModelResponse: async () => {}, provideTokenCount: async () => 1 };
const model = { vendor: "nobody", name: "Nobody", family: "nobody", version: "1", maxInputTokens: 1000, maxOutputTokens: 1000 };

exports.activate = ({ subscriptions }) => {
  subscriptions.push(
    chat.createChatParticipant("chat-view.default", () => ({})),
    lm.registerChatModelProvider("nobody", silent, { ...model, isDefault: true, isUserSelectable: true }),
  );
};
