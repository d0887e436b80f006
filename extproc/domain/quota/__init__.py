"""What the plan still allows: windows, forecasts, and the gate in front of a used-up one."""
