"""Booking's refusals in plain Japanese: what happened, and what to do next."""

from shared.web.refusals import MY_CASES, RefusalText


def _(message: str) -> str:
    """Marks a text for the catalogues; it is translated when shown."""
    return message


_CHOOSE = _("ほかの時間を選んでください。")

REFUSALS: dict[str, RefusalText] = {
    "visit_unknown": RefusalText(
        _("予約の途中の情報が見つかりません"),
        _("別の端末やブラウザーでは、続きができません。手続きのページから、もう一度お進みください。"),
        MY_CASES,
    ),
    "visit_over": RefusalText(
        _("予約の手続きの時間が過ぎました"),
        _("手続きのページから、もう一度お進みください。入力した内容は手続きのページに残っています。"),
        MY_CASES,
    ),
    "visit_booked": RefusalText(
        _("この予約はもう済んでいます"), _("日時を変えるときは、予約のページの「日時を変える」からお進みください。")
    ),
    "too_many_appointments": RefusalText(
        _("これ以上は、同時に予約できません"),
        _("先の予約が終わるか取り消されると、また予約できます。続けて予約が必要なときは、電話でご相談ください。"),
    ),
    "slot_taken": RefusalText(
        _("この時間は、ほかの方の予約が入りました"), _("下の近い時間か、ほかの日を選んでください。")
    ),
    "slot_unknown": RefusalText(_("この時間は見つかりません"), _CHOOSE),
    "slot_unfit": RefusalText(_("この時間は、この手続きでは使えません"), _CHOOSE),
    "slot_too_soon": RefusalText(
        _("この時間は、もう予約できません"),
        _("始まる時間が近いため、受付を終わりました。ほかの時間を選ぶか、窓口に直接お越しください。"),
    ),
    "slot_too_far": RefusalText(_("この日は、まだ予約できません"), _("もっと近い日を選んでください。")),
    "slot_closed": RefusalText(_("この時間は、受け付けていません"), _CHOOSE),
    "same_slot": RefusalText(_("今の予約と同じ時間です"), _("変えるときは、ほかの時間を選んでください。")),
    "chain_taken": RefusalText(
        _("この組み合わせは、ほかの方の予約が入りました"), _("今とれる組み合わせを、下から選んでください。")
    ),
    "chain_unfit": RefusalText(
        _("この組み合わせでは、ぜんぶの窓口をまわれません"), _("下の組み合わせから選んでください。")
    ),
    "chain_broken": RefusalText(
        _("この時間では、まとめて予約したほかの手続きに間に合いません"),
        _("ほかの時間を選ぶか、「まとめて日時を変える」からお進みください。"),
    ),
    "hold_missing": RefusalText(_("時間がまだ選ばれていません"), _("日と時間を選んでから、お進みください。")),
    "hold_expired": RefusalText(
        _("おさえていた時間が過ぎました"), _("もう一度、日と時間を選んでください。入力した内容は残っています。")
    ),
    "key_unreadable": RefusalText(_("入力を読みとれませんでした"), _("前のページにもどって、もう一度送ってください。")),
    "key_reused": RefusalText(
        _("同じ画面から、ちがう内容が送られました"), _("ページを読み直して、やり直してください。")
    ),
    "appointment_unknown": RefusalText(
        _("予約が見つかりません"), _("予約番号を確かめてください。今日ではない予約や、取り消した予約かもしれません。")
    ),
    "appointment_moved": RefusalText(
        _("予約の内容が、別の画面で変わりました"), _("予約のページを開いて、今の内容を確かめてください。")
    ),
    "appointment_cancelled": RefusalText(
        _("この予約は取り消されています"), _("必要なときは、手続きのページから新しく予約してください。")
    ),
    "appointment_started": RefusalText(
        _("始まった予約は、変えたり取り消したりできません"),
        _("ご用のあるときは、窓口か電話でお知らせください。"),
    ),
    "change_too_late": RefusalText(
        _("予約を変えられる時間を過ぎました"), _("変えたいときや来られないときは、電話でお知らせください。")
    ),
    "request_unknown": RefusalText(
        _("この依頼は見つかりません"),
        _("ほかのサポーターにお願いしたか、取り消されています。予定のページにもどってください。"),
    ),
    "request_over": RefusalText(
        _("この依頼は、もう終わっています"), _("予定のページにもどって、今の予定を確かめてください。")
    ),
    "not_begun": RefusalText(_("まだ始まっていません"), _("始まる時間になってから、もう一度押してください。")),
    "roster_missing": RefusalText(
        _("サポーターの登録を準備しています"),
        _("少し待ってから、もう一度お試しください。続くときは、役場に電話してください。"),
    ),
    "shift_unfit": RefusalText(
        _("この時間は登録できません"), _("終わりの時間は、始まりの時間よりあとにしてください。")
    ),
    "shift_overlaps": RefusalText(
        _("同じ曜日に、重なる時間があります"), _("前の時間を消すか、重ならない時間を選んでください。")
    ),
    "too_many_shifts": RefusalText(_("登録できる数をこえています"), _("使わない時間を消してから、登録してください。")),
    "counter_unknown": RefusalText(_("この窓口は見つかりません"), _("受付時間の一覧から選んでください。")),
    "rule_unfit": RefusalText(
        _("この受付時間では公開できません"), _("時間の順と席の数を確かめて、もう一度入力してください。")
    ),
    "rule_start_unfit": RefusalText(_("この日からは始められません"), _("明日から1年後までの日を選んでください。")),
    "rules_moved": RefusalText(
        _("ほかの職員が先に受付時間を変えました"), _("新しい受付時間を確かめてから、もう一度公開してください。")
    ),
    "version_unknown": RefusalText(_("この受付時間は見つかりません"), _("受付時間の一覧から選んでください。")),
    "version_open": RefusalText(
        _("もう始まっている受付時間は取りやめられません"), _("変えるときは、明日からの受付時間を公開してください。")
    ),
    "draw_unknown": RefusalText(
        _("この抽選は見つかりません"), _("抽選の一覧から選んでください。"), "/booking/draws", _("抽選の一覧を見る")
    ),
    "draw_other": RefusalText(
        _("この手続きの抽選ではありません"),
        _("抽選のページにある手続きから、お進みください。"),
        "/booking/draws",
        _("抽選の一覧を見る"),
    ),
    "draw_not_open": RefusalText(
        _("申し込みは、まだ始まっていません"),
        _("申し込みの始まりの日時を確かめてください。急がなくても、当たりやすさは同じです。"),
    ),
    "draw_closed": RefusalText(_("申し込みは終わりました"), _("抽選のページで、結果を見てください。")),
    "draw_full": RefusalText(
        _("申し込みの数がいっぱいです"), _("申し訳ありません。ほかの日の予約をするか、電話でご相談ください。")
    ),
    "draw_wishes": RefusalText(
        _("希望の選びかたを確かめてください"), _("行きたい順に、ちがう回を選んでください。ひとつだけでもかまいません。")
    ),
    "draw_entered": RefusalText(
        _("この方は、もう申し込んでいます"), _("抽選番号と確認コードで、申し込みを開いてください。")
    ),
    "draw_won": RefusalText(_("もう当たっています"), _("来られないときは、予約のページから取り消してください。")),
    "draw_withdrawn": RefusalText(
        _("この申し込みは取り消されています"), _("受付中なら、手続きのページから、もう一度申し込めます。")
    ),
    "draw_window": RefusalText(
        _("日時の順番を確かめてください"),
        _("申し込みの始まりはこれから、期間は1時間から60日まで、抽選から最初の回までは24時間以上にしてください。"),
    ),
    "draw_unfit": RefusalText(_("この窓口では、この手続きの抽選はできません"), _("ほかの窓口を選んでください。")),
    "draw_no_seats": RefusalText(
        _("この期間に、割り当てられる席がありません"), _("予約の受付期間の中で、空きのある日時を選んでください。")
    ),
    "draw_too_large": RefusalText(_("席が多すぎます"), _("期間を短くして、いくつかの抽選に分けてください。")),
    "venue_unknown": RefusalText(_("この場所は見つかりません"), _("ほかの場所を選んでください。")),
    "helper_unknown": RefusalText(_("このサポーターは見つかりません"), _("ほかのサポーターを選んでください。")),
    "helper_busy": RefusalText(
        _("このサポーターには、同じ時間に予定があります"), _("ほかのサポーターを選んでください。")
    ),
    "feed_unknown": RefusalText(
        _("このアドレスのカレンダーはありません"), _("予定のページで、新しいアドレスを作ってください。")
    ),
    "link_unknown": RefusalText(
        _("このリンクでは開けません"),
        _("リンクの終わりまで正しく写っているか確かめるか、予約番号と確認コードで開いてください。"),
        "/booking/find",
        _("番号と確認コードで確かめる"),
    ),
    "procedure_unknown": RefusalText(
        _("この手続きの窓口の情報がありません"), _("少し待ってもう一度お試しになるか、電話でお問い合わせください。")
    ),
    "line_moved": RefusalText(
        _("ほかの端末で先に操作されました"), _("一覧で今の状態を確かめてから、もう一度操作してください。")
    ),
    "step_impossible": RefusalText(_("今の状態では、この操作はできません"), _("一覧で今の状態を確かめてください。")),
    "no_show_too_early": RefusalText(
        _("まだ不在にできません"), _("一度お呼びするか、予約の時間が過ぎてから、不在にしてください。")
    ),
    "arrival_cancelled": RefusalText(
        _("取り消された予約です"), _("今日ご用があるときは、「予約のない方」から番号札を出してください。")
    ),
    "arrival_known": RefusalText(_("すでに受け付けています"), _("このままお待ちいただいてください。")),
    "arrival_done": RefusalText(
        _("今日の対応は終わっています"), _("ほかにご用があるときは、「予約のない方」から番号札を出してください。")
    ),
    "procedure_not_chosen": RefusalText(
        _("手続きが選ばれていません"), _("「予約のない方」の手続きを選んでから、番号札を出してください。")
    ),
    "other_office": RefusalText(_("ほかの課の予約です"), _("担当の課の窓口にご案内ください。")),
    "not_today": RefusalText(_("今日の予約ではありません"), _("予約の日をご本人と確かめてください。")),
    "closing_unfit": RefusalText(
        _("この時間は休みにできません"), _("窓口、日、始まりと終わりの時刻を確かめて、もう一度選んでください。")
    ),
    "closing_reason_missing": RefusalText(
        _("休みにする理由が書かれていません"), _("「その他」のときは、住民に見せる説明を書いてください。")
    ),
    "closing_unknown": RefusalText(_("この休みは見つかりません"), _("一覧にもどって、選びなおしてください。")),
    "code_wrong": RefusalText(
        _("番号か確認コードがちがいます"), _("番号と、6けたの確認コードを、もう一度お確かめください。")
    ),
    "code_locked": RefusalText(
        _("確認コードのまちがいが続きました"), _("15分ほど待ってから、もう一度お試しください。")
    ),
    "offer_unknown": RefusalText(
        _("おさえてある時間は、今はありません"), _("ほかの時間を選ぶか、電話でご相談ください。")
    ),
    "draw_entry_unknown": RefusalText(
        _("この申し込みは開けません"), _("抽選番号と確認コードを、もう一度お確かめください。")
    ),
    "too_many_slots": RefusalText(_("枠の数が多すぎます"), _("窓口をひとつ選んで、もう一度お試しください。")),
    "number_unreadable": RefusalText(
        _("予約番号を読みとれませんでした"), _("数字とアルファベット7文字です。もう一度入力してください。")
    ),
}
