// This file lets the compiler accept functions whose bodies are elsewhere (election.go).
