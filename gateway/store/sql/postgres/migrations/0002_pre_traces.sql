-- traceparent: the span of the call that submitted the generation, in the form of W3C Trace Context; empty if untraced.
ALTER TABLE generations ADD COLUMN traceparent text NOT NULL DEFAULT '';
