"""Tables and figures of the Infor-Coef paper."""
