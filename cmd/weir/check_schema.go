package main

// checkSchema is the schema of what "weir check --json" prints; docs/ holds it, too.
const checkSchema = `{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "weir check --json",
  "description": "Members are added over time, never removed or given another meaning.",
  "type": "object",
  "required": ["files", "diagnostics", "errors", "warnings", "notes"],
  "properties": {
    "files": {
      "description": "the files that were named, in their order",
      "type": "array",
      "items": {
        "type": "object",
        "required": ["file", "ok", "config_ids", "summary"],
        "properties": {
          "file": {"type": "string"},
          "ok": {"type": "boolean", "description": "\"weir run\" would start with it"},
          "config_ids": {"type": "array", "items": {"type": "string"}, "description": "the config ids that it was read for"},
          "summary": {"type": "string", "description": "what it holds, in words; empty where it is not ok"}
        }
      }
    },
    "diagnostics": {
      "description": "errors first, then warnings, then notes",
      "type": "array",
      "items": {
        "type": "object",
        "required": ["file", "line", "column", "end_column", "severity", "code", "message", "help", "notes", "places", "included_from", "config_ids", "machine"],
        "properties": {
          "file": {"type": "string", "description": "the file that the line is in: the one that was named, or one that it includes"},
          "line": {"type": "integer", "description": "from 1 on; 0 where it is about the file as a whole"},
          "column": {"type": "integer", "description": "in characters, from 1 on; 0 as the line"},
          "end_column": {"type": "integer", "description": "behind the last character"},
          "severity": {"enum": ["error", "warning", "note"]},
          "code": {"type": "string", "minLength": 1, "description": "the kind of warning or note, see weir check --explain; of most errors syntax, unknown-keyword, missing, duplicate, invalid, file or internal, of which more may come; more says that not all are shown"},
          "message": {"type": "string", "description": "what is wrong"},
          "help": {"type": "string", "description": "what was expected, or what to do; may be empty"},
          "notes": {"type": "array", "items": {"type": "string"}, "description": "other places that have to do with it"},
          "places": {"type": "integer", "description": "at how many places it is, of which this is the first"},
          "included_from": {"type": "array", "items": {"type": "string"}, "description": "FILE:LINE of the includes by which the file was read, the innermost first"},
          "config_ids": {"type": "array", "items": {"type": "string"}, "description": "the config ids that give rise to it; empty where all do"},
          "machine": {"type": "boolean", "description": "it depends on the machine that checked"}
        }
      }
    },
    "errors": {"type": "integer"},
    "warnings": {"type": "integer"},
    "notes": {"type": "integer"}
  }
}
`
