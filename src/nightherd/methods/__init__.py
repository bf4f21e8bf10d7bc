"""Answering for methods: passages, retrieval, answers with their evidence, verification, audits, and our own record."""
