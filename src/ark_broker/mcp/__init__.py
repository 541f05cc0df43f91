"""The MCP server at `/mcp`: agents ask people through it, and look at other agents' sessions."""
