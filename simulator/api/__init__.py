"""The surfaces of api.z.ai: what a call asks and what it is answered, faults apart."""
