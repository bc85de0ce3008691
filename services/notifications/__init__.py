"""Notifications (お知らせ) knows how to reach people, and tells them what became of their appointments."""
