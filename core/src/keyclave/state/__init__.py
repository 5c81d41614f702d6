"""The durable state: keys, versions, intents and the audit log's table, in one database that guards itself."""
